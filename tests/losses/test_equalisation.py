import logging
import math

import pytest
import torch
from torch.testing import assert_close

from detkit.errors import UserError
from detkit.losses import BinaryCrossEntropy, EqualisationLoss
from detkit.structures import ClassCounts

COUNTS = ClassCounts(images=1000, images_with_class=[900, 10, 9], objects=[2000, 10, 9])
LOGITS = torch.tensor([[0.0, math.log(4), math.log(9)]], dtype=torch.float64)  # p = .5, .8, .9


def losses(labels, threshold=0.01, scores=None):
    loss = EqualisationLoss(threshold=threshold, class_counts=COUNTS)
    return loss(LOGITS.expand(len(labels), 3), torch.tensor(labels), scores)


def test_objects_leave_out_other_classes_that_are_rare():
    # Class 2 is in 9 of 1,000 images, below the threshold of 10; class 1 is not.
    first = -math.log(0.5) - math.log(0.2)
    second = -math.log(0.5) - math.log(0.8)
    third = -math.log(0.5) - math.log(0.2) - math.log(0.9)
    assert_close(losses([0, 1, 2]), torch.tensor([first, second, third], dtype=torch.float64))


def test_background_suppresses_rare_classes_too():
    expected = -math.log(0.5) - math.log(0.2) - math.log(0.1)
    assert losses([-1]).item() == pytest.approx(expected)


def test_the_target_of_an_object_may_be_soft():
    expected = -math.log(0.5) - math.log(0.2) - 0.25 * math.log(0.9) - 0.75 * math.log(0.1)
    assert losses([2], scores=torch.tensor([0.25])).item() == pytest.approx(expected)


def test_rare_classes_get_no_gradient_from_other_objects():
    logits = LOGITS.clone().requires_grad_()
    loss = EqualisationLoss(threshold=0.01, class_counts=COUNTS)
    loss(logits, torch.tensor([0])).sum().backward()
    assert_close(logits.grad, torch.tensor([[-0.5, 0.8, 0.0]], dtype=torch.float64))


def test_without_rare_classes_it_is_a_cross_entropy_and_warns(caplog):
    labels = torch.tensor([0, 2])
    with caplog.at_level(logging.WARNING):
        assert_close(
            losses([0, 2], threshold=0.009), BinaryCrossEntropy()(LOGITS.expand(2, 3), labels)
        )
    assert "equals 'bce' here, as each class is in at least 0.009 of" in caplog.text


def test_unknown_counts_are_an_error_when_it_trains():
    loss = EqualisationLoss()
    with pytest.raises(UserError, match=r"'equalisation' needs the number of training images.*"):
        loss(LOGITS, torch.tensor([0]))


def test_an_objectness_has_no_other_classes():
    logits, labels = torch.randn(4, 1), torch.tensor([0, -1, 0, -2])
    expected = BinaryCrossEntropy()(logits, labels)
    assert_close(EqualisationLoss(class_counts=COUNTS)(logits, labels), expected)


def test_logits_of_other_classes_are_refused():
    loss = EqualisationLoss(class_counts=COUNTS)
    with pytest.raises(UserError, match=r"'equalisation' is for 3 classes, .* gets 2 logits"):
        loss(torch.zeros(4, 2), torch.zeros(4).long())
