import dataclasses

import pytest
import torch
from training_fakes import batch

from detkit.structures import PaddedTargets, Target
from detkit.training.risky_boxes import risky_boxes


def reasons(box, label=0):
    target = Target(torch.tensor([box]), torch.tensor([label]), torch.tensor([False]))
    changes = {"image_sizes": [(60, 80)], "size_tensor": None}
    one = dataclasses.replace(batch(0, size=1), targets=PaddedTargets.of([target]), **changes)
    return [found.reason for found in risky_boxes(one, num_classes=2)]


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ([5.0, 5.0, 5.0, 9.0], "without area"),
        ([9.0, 5.0, 5.0, 9.0], "its corners are not in order"),
        ([float("nan"), 5.0, 9.0, 9.0], "not finite"),
        ([5.0, 5.0, 81.5, 9.0], "reaches outside the image of 80 x 60"),
        ([-3.0, 5.0, 9.0, 9.0], "reaches outside the image of 80 x 60"),
        ([5.0, 5.0, 5.5, 9.0], "thinner than 1 pixel"),
        ([1.0, 5.0, 79.0, 6.2], "more than 50 times as long as wide"),
    ],
)
def test_odd_boxes_are_named(box, reason):
    assert reasons(box) == [reason]


def test_ordinary_boxes_are_not():
    assert reasons([0.0, 0.0, 80.0, 60.0]) == reasons([-0.2, 4.0, 3.0, 7.0]) == []


def test_label_of_no_class_is_named():
    assert reasons([1.0, 1.0, 9.0, 9.0], label=2) == ["label 2 is not in 0..1"]
