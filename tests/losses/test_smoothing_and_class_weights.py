import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from detkit.errors import UserError
from detkit.losses import BinaryCrossEntropy, CrossEntropy, FocalLoss
from detkit.ops.class_weights import effective_number_weights
from detkit.ops.selection import fixed_shapes
from detkit.structures import ClassCounts

NAMES = ["cat", "dog"]
COUNTS = ClassCounts(images=10, images_with_class=[8, 2], objects=[300, 10])
EVERY = [BinaryCrossEntropy, CrossEntropy, FocalLoss]
LOGITS = torch.tensor([[0.0, math.log(4)]], dtype=torch.float64)  # p = 0.5, 0.8
each_loss = pytest.mark.parametrize("loss", EVERY)


def inputs(loss, dtype=torch.float32):
    width = 3 if loss.activation == "softmax" else 2
    logits = torch.randn(4, width, generator=torch.Generator().manual_seed(0), dtype=dtype)
    return logits, torch.tensor([0, 1, -1, 0])


def test_smoothed_bce_by_hand():
    # Targets 0.05 and 0.95; background keeps 0 and 0.
    expected = -math.log(0.5) - 0.95 * math.log(0.8) - 0.05 * math.log(0.2)
    loss = BinaryCrossEntropy(label_smoothing=0.1)
    assert loss(LOGITS, torch.tensor([1])).item() == pytest.approx(expected)
    background = BinaryCrossEntropy()(LOGITS, torch.tensor([-1]))
    assert_close(loss(LOGITS, torch.tensor([-1])), background)


def test_smoothed_focal_by_hand():
    # alpha_t (1 - p_t)^2 entropy with t = 0.1 and 0.9, p_t = p t + (1 - p) (1 - t).
    absent = (0.25 * 0.1 + 0.75 * 0.9) * 0.5**2 * math.log(2)
    missed = 1 - (0.8 * 0.9 + 0.2 * 0.1)
    entropy = -0.9 * math.log(0.8) - 0.1 * math.log(0.2)
    present = (0.25 * 0.9 + 0.75 * 0.1) * missed**2 * entropy
    loss = FocalLoss(label_smoothing=0.2)
    assert loss(LOGITS, torch.tensor([1])).item() == pytest.approx(absent + present)


@pytest.mark.parametrize("smoothing", [0.1, 0.5])
def test_smoothed_cross_entropy_equals_torch(smoothing):
    logits, labels = inputs(CrossEntropy)
    targets = torch.where(labels >= 0, labels, 2)
    expected = F.cross_entropy(logits, targets, reduction="none", label_smoothing=smoothing)
    assert_close(CrossEntropy(label_smoothing=smoothing)(logits, labels), expected)


@pytest.mark.parametrize("loss", [BinaryCrossEntropy, FocalLoss])
def test_soft_targets_are_smoothed_too(loss):
    smooth = loss(label_smoothing=0.2)(LOGITS[:, :1], torch.tensor([0]), torch.tensor([0.75]))
    plain = loss()(LOGITS[:, :1], torch.tensor([0]), torch.tensor([0.75 * 0.8 + 0.1]))
    assert_close(smooth, plain)


@pytest.mark.parametrize("loss", [BinaryCrossEntropy, FocalLoss])
@pytest.mark.parametrize("scores", [None, torch.tensor([0.75, 0.5, 0.0, 1.0])])
def test_smoothing_is_the_same_without_selecting_objects(loss, scores):
    logits, labels = inputs(loss)
    smooth = loss(label_smoothing=0.2)
    selected = smooth(logits, labels, scores)
    with fixed_shapes():
        assert_close(smooth(logits, labels, scores), selected)


@each_loss
def test_gradients_of_smoothed_and_weighted_losses(loss):
    logits, labels = inputs(loss, torch.float64)
    built = loss(label_smoothing=0.1, class_weights={"dog": 3.0}, class_names=NAMES)
    assert torch.autograd.gradcheck(lambda x: built(x, labels), logits.requires_grad_())


@each_loss
def test_smoothing_without_any_object_has_a_gradient(loss):
    logits, labels = inputs(loss)
    logits.requires_grad_()
    loss(label_smoothing=0.1)(logits, torch.full_like(labels, -1)).sum().backward()
    assert logits.grad.isfinite().all()
    assert (logits.grad != 0).all()


@each_loss
def test_class_weights_multiply_the_loss_of_objects_of_the_class(loss):
    logits, labels = inputs(loss)
    weighted = loss(class_weights={"dog": 3.0, "cat": 0.5}, class_names=NAMES)(logits, labels)
    factors = torch.tensor([0.5, 3.0, 1.0, 0.5])
    assert_close(weighted, loss()(logits, labels) * factors)


@each_loss
def test_classes_without_a_weight_and_ignored_priors_weigh_one(loss):
    logits, _ = inputs(loss)
    labels = torch.tensor([0, 1, -1, -2])
    weighted = loss(class_weights={"dog": 3.0}, class_names=NAMES)(logits, labels)
    assert_close(weighted, loss()(logits, labels) * torch.tensor([1.0, 3.0, 1.0, 1.0]))


@each_loss
def test_a_weight_of_an_unknown_class_names_the_nearest(loss):
    with pytest.raises(UserError, match=r"class_weights names 'dgo'.*'dog'\? Classes: cat, dog\."):
        loss(class_weights={"dgo": 3.0}, class_names=NAMES)


def test_class_weights_of_a_quality_branch_are_refused():
    loss = BinaryCrossEntropy(class_weights={"dog": 3.0}, class_names=NAMES)
    with pytest.raises(
        UserError, match=r"for 2 classes, but this loss gets 1 logits.*classification"
    ):
        loss(torch.zeros(4, 1), torch.zeros(4).long())


@each_loss
def test_class_weights_are_no_part_of_checkpoints(loss):
    assert not loss(class_weights={"dog": 3.0}, class_names=NAMES).state_dict()


@each_loss
def test_effective_numbers_weigh_classes_by_the_objects_of_the_training_set(loss):
    logits, labels = inputs(loss)
    weights = effective_number_weights(np.array([300, 10]), 0.99)
    explicit = dict(zip(NAMES, weights.tolist(), strict=True))
    expected = loss(class_weights=explicit, class_names=NAMES)(logits, labels)
    balanced = loss(
        class_weights="effective_numbers",
        effective_beta=0.99,
        class_names=NAMES,
        class_counts=COUNTS,
    )
    assert_close(balanced(logits, labels), expected)


@each_loss
def test_effective_numbers_without_counts_are_an_error_when_it_trains(loss):
    built = loss(class_weights="effective_numbers", class_names=NAMES)
    with pytest.raises(UserError, match=r"class_weights=effective_numbers needs the number of"):
        built(*inputs(loss))


@pytest.mark.parametrize("loss", [BinaryCrossEntropy, CrossEntropy, FocalLoss])
def test_class_weights_by_name_are_accepted_before_the_classes_are_known(loss):
    loss(class_weights={"cat": 2.0})  # as a training does before it reads the data
    with pytest.raises(UserError, match="names 'cat', which is not a class"):
        loss(class_weights={"cat": 2.0}, class_names=["dog"])
