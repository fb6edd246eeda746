import pytest
import torch

from detkit.ops import chunks, mark_ignored
from detkit.structures import BACKGROUND, IGNORED, PaddedTargets, Priors, Target


def mark(box, matched=BACKGROUND, ignored=True):
    """The mark of a prior at 0, 0, 4, 4."""
    priors = Priors(torch.tensor([[0.0, 0.0, 4.0, 4.0]]), torch.ones(1), torch.zeros(1).long())
    boxes = torch.tensor([[20.0, 20.0, 30.0, 30.0], box])
    target = Target(boxes, torch.zeros(2).long(), torch.tensor([ignored, ignored]))
    return mark_ignored(torch.tensor([[matched]]), priors, PaddedTargets.of([target])).item()


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([0.0, 0.0, 2.0, 4.0], IGNORED),  # exactly half
        ([0.0, 0.0, 1.9, 4.0], BACKGROUND),
        ([-50.0, -50.0, 50.0, 50.0], IGNORED),  # the IoU is small, the share is 1
    ],
)
def test_background_with_half_of_its_area_in_an_ignored_object(box, expected):
    assert mark(box) == expected


def test_positives_stay():
    assert mark([0.0, 0.0, 4.0, 4.0], matched=0) == 0


def test_objects_that_count_hide_nothing():
    assert mark([0.0, 0.0, 4.0, 4.0], ignored=False) == BACKGROUND


def test_without_objects():
    priors = Priors(torch.zeros(3, 4), torch.ones(3), torch.zeros(3).long())
    matched = torch.full((1, 3), BACKGROUND)
    targets = PaddedTargets.of([Target.empty()])
    assert torch.equal(mark_ignored(matched, priors, targets), matched)


def test_many_ignored_objects_are_compared_in_parts(monkeypatch):
    monkeypatch.setattr(chunks, "MOST_PAIRS", 1)
    assert mark([0.0, 0.0, 2.0, 4.0]) == IGNORED
    assert mark([0.0, 0.0, 1.9, 4.0]) == BACKGROUND
