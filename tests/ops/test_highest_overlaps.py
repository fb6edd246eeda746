import pytest
import torch

from detkit.ops import chunks, highest_overlaps
from detkit.structures import PaddedTargets, Target

BOXES = torch.tensor([[0.0, 0, 10, 10], [20, 0, 30, 10], [5, 5, 5, 5]])


def targets(boxes):
    count = len(boxes)
    return PaddedTargets.of([Target(boxes, torch.zeros(count).long(), torch.zeros(count).bool())])


@pytest.mark.parametrize("pairs", [2**22, 1])
def test_the_highest_overlap_with_any_object(pairs, monkeypatch):
    monkeypatch.setattr(chunks, "MOST_PAIRS", pairs)
    objects = torch.tensor([[0.0, 0, 10, 5], [0, 0, 10, 8], [50, 50, 60, 60]])
    assert highest_overlaps(BOXES, targets(objects))[0].tolist() == pytest.approx([0.8, 0, 0])


def test_without_objects_there_is_no_overlap():
    assert highest_overlaps(BOXES, targets(torch.zeros(0, 4))).tolist() == [[0, 0, 0]]
