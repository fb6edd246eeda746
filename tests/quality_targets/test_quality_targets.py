import math

import pytest
import torch

from detkit.quality_targets.centreness import Centreness
from detkit.quality_targets.objectness import Objectness
from detkit.structures import Priors


def priors(*boxes):
    count = len(boxes)
    table = torch.tensor(boxes).reshape(-1, 4)
    return Priors(table, torch.full((count,), 8.0), torch.zeros(count, dtype=torch.int64))


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ([0, 0, 20, 20], 1.0),  # the prior's centre, (10, 10), is the middle
        ([8, 5, 18, 15], 0.5),  # left 2, right 8, top 5, bottom 5: the root of 1/4
        ([8, 8, 18, 18], 0.25),
        ([10, 0, 20, 20], 0.0),  # on the border
        ([12, 0, 20, 20], 0.0),  # outside
        ([12, 12, 20, 20], 0.0),  # outside on both axes: two negative ratios are not a positive
        ([10, 10, 10, 10], 0.0),  # without area
    ],
)
def test_centreness(box, expected):
    found = Centreness()(priors([6.0, 6, 14, 14]), torch.tensor([box]).float(), None)
    assert found.item() == pytest.approx(expected)


def test_nothing_has_no_quality():
    for target in (Centreness(), Objectness()):
        assert target(priors(), torch.zeros(0, 4), torch.zeros(0, 4)).shape == (0,)


# Half of the union, centres 5 apart, a squared diagonal of 800 around both, ratios 2 and 1.
NARROWER = 0.5 - 25 / 800


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1.0), (1.0, NARROWER), (0.5, (1 + NARROWER) / 2)]
)
def test_objectness_is_the_overlap_of_the_predicted_box(share, expected):
    predicted, box = torch.tensor([[[0.0, 0, 20, 10]], [[0.0, 0, 20, 20]]])
    angle = (4 / math.pi**2) * (math.atan(2) - math.atan(1)) ** 2
    ratio_penalty = angle**2 / (0.5 + angle) * share
    found = Objectness(overlap_share=share)(priors([0.0, 0, 8, 8]), box, predicted)
    assert found.item() == pytest.approx(expected - ratio_penalty)


def test_boxes_far_apart_are_no_less_than_nothing():
    far = torch.tensor([[90.0, 90, 99, 99]])
    assert Objectness()(priors([0.0, 0, 8, 8]), torch.tensor([[0.0, 0, 9, 9]]), far).item() == 0


def test_objectness_may_be_the_iou():
    predicted, boxes = torch.tensor([[0.0, 0, 10, 10]]), torch.tensor([[0.0, 0, 20, 10]])
    found = Objectness(overlap="iou")(priors([0.0, 0, 8, 8]), boxes, predicted)
    assert found.tolist() == pytest.approx([0.5])
