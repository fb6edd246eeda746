import math

import pytest
import torch
from torch import nn

from detkit.errors import UserError
from detkit.inference.assigning import ImageAssignment, assign, count, counts_as_text
from detkit.structures import BACKGROUND, IGNORED, Batch, PaddedTargets, Priors, Target

PRIORS = Priors(
    torch.tensor([[0.0, 0, 8, 8], [8, 0, 16, 8], [0, 0, 16, 16]]),
    torch.tensor([8.0, 8.0, 16.0]),
    torch.tensor([0, 0, 1]),
)
OBJECTS = Target(
    torch.tensor([[0.0, 0, 10, 10], [0, 0, 50, 50], [0, 0, 100, 100]]),
    torch.tensor([0, 1, 1]),
    torch.tensor([False, True, False]),
)


class Head(nn.Module):
    def __init__(self, *matched):
        super().__init__()
        self.matched = torch.tensor([matched])

    def assign(self, features, targets):
        return PRIORS, self.matched


class Detector(nn.Module):
    def __init__(self, head):
        super().__init__()
        self.head = head

    def features_of(self, batch):
        return []


def batch_of(target):
    return Batch(
        images=torch.zeros(1, 3, 16, 16, dtype=torch.uint8),
        image_sizes=[(16, 16)],
        targets=PaddedTargets.of([target]),
        original_targets=[target],
        image_ids=[1],
        paths=["a"],
        original_sizes=[(16, 16)],
        to_image=torch.eye(3)[None],
    )


def test_each_detector_assigns_the_objects_that_count():
    detectors = [Detector(Head(0, 1, BACKGROUND)), Detector(Head(IGNORED, 0, 0))]
    ((first, second),) = assign(detectors, [batch_of(OBJECTS)])
    assert len(first.target) == 2
    assert first.positives.tolist() == [1, 1]
    assert second.positives.tolist() == [2, 0]


def test_a_detector_without_priors_is_refused():
    with pytest.raises(UserError, match="no head whose priors or regions are assigned"):
        assign([Detector(nn.Identity())], [batch_of(OBJECTS)])


def test_counts_by_hand():
    objects = OBJECTS.select(~OBJECTS.ignored)
    images = [
        ImageAssignment(PRIORS, torch.tensor([0, 0, IGNORED]), objects),
        ImageAssignment(PRIORS, torch.tensor([BACKGROUND, 0, 1]), objects),
        ImageAssignment(PRIORS, torch.full((3,), BACKGROUND), Target.empty()),
    ]
    counts = count(images)
    assert counts.of_object.tolist() == [2, 0, 1, 1]
    assert counts.sides.tolist() == [10, 100, 10, 100]
    assert counts.positive.tolist() == [3, 1]
    assert counts.ignored.tolist() == [0, 1]
    assert counts.strides == [8, 16]
    shown = [" ".join(line.split()) for line in counts_as_text({"mine": counts}).splitlines()]
    assert "objects without any 1" in shown
    assert "small (up to 32 pixels) 0 of 2" in shown
    assert "large (from 96 pixels) 1 of 2" in shown
    assert "stride 16 1 (+1 ignored)" in shown
    assert "of an object, median (range) 1 (0-2)" in shown


def test_images_without_objects_are_counted():  # pain 14
    nothing = torch.full((3,), BACKGROUND)
    counts = count([ImageAssignment(PRIORS, nothing, Target.empty())])
    assert "  of an object, median (range)" in counts_as_text({"mine": counts})
    assert not math.isnan(counts.positive.sum())
