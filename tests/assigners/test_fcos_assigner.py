from types import SimpleNamespace

import pytest
import torch
from assigner_scenes import SIZES, assign, objects, points, random_objects
from torchvision.models.detection import FCOS

from detkit.assigners import FCOSAssigner
from detkit.ops import chunks
from detkit.structures import BACKGROUND

COUNTS = [height * width for height, width in SIZES]


def matched(priors, target, **changes):
    return assign(FCOSAssigner(**changes), priors, target).matched


def positions(found, level):
    """(row, column) of the positives of a level."""
    of_level = found.split(COUNTS)[level].reshape(SIZES[level])
    return [tuple(place) for place in (of_level >= 0).nonzero().tolist()]


def test_centres_within_one_and_a_half_strides_of_the_middle():
    # The middle is at 44, 44: the centre of cell 5, 5 of the first level.
    found = matched(points(), objects([14.0, 14.0, 74.0, 74.0]))
    assert positions(found, 0) == [(row, column) for row in (4, 5, 6) for column in (4, 5, 6)]
    assert positions(found, 1) == positions(found, 2) == []


def test_a_centre_exactly_one_and_a_half_strides_away_is_too_far():
    # The middle at 48, 48 is between cells, whose centres are 4, 12 and 20 pixels away.
    found = matched(points(), objects([18.0, 18.0, 78.0, 78.0]))
    assert positions(found, 0) == [(row, column) for row in (5, 6) for column in (5, 6)]


def test_without_a_radius_all_centres_inside_count_but_none_on_the_border():
    # Centres at 4, 12, 20 and so on.
    found = matched(points(), objects([12.0, 12.0, 29.0, 21.0]), centre_radius=None)
    assert positions(found, 0) == [(2, 2), (2, 3)]


def test_the_reach_decides_the_level():
    # The largest distance from a centre near the middle to a side, in pixels: 16, 80 and 160, for
    # levels up to 64, from 64 to 128 and from 128 on.
    for reach, level in ((16, 0), (80, 1), (160, 2)):
        box = [80.0 - reach, 64.0 - reach, 80.0 + reach, 64.0 + reach]
        found = matched(points(), objects(box))
        assert [bool(positions(found, i)) for i in range(3)] == [i == level for i in range(3)]


def test_the_finest_level_takes_the_smallest_objects_and_the_coarsest_the_largest():
    assert positions(matched(points(), objects([3.0, 3.0, 5.0, 5.0])), 0) == [(0, 0)]
    huge = objects([-5000.0, -5000.0, 5160.0, 5128.0])
    assert positions(matched(points(), huge), 2) != []


def test_the_smaller_of_two_objects_wins_and_the_first_of_equals():
    large, small = [20.0, 20.0, 68.0, 68.0], [32.0, 32.0, 56.0, 56.0]
    middle = 5 * 20 + 5
    assert matched(points(), objects(large, small))[middle] == 1
    assert matched(points(), objects(small, small))[middle] == 0
    # Smaller by one square pixel, which torchvision's arithmetic does not see.
    smaller = [32.0, 32.0, 56.0, 56.0 - 1 / 24]
    assert matched(points(), objects(small, smaller))[middle] == 1


@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_equals_torchvision(offset):
    priors = points(offset)
    returns_matches = SimpleNamespace(compute_loss=lambda targets, outputs, anchors, found: found)
    model = SimpleNamespace(center_sampling_radius=1.5, head=returns_matches)
    for seed in range(5):
        target = random_objects(8, seed)
        boxes = [{"boxes": target.boxes}]
        (expected,) = FCOS.compute_loss(model, boxes, {}, [priors.boxes], COUNTS)
        assert (expected >= 0).sum() > 8
        assert torch.equal(matched(priors, target), expected)


def test_many_objects_are_compared_in_parts_with_the_same_result(monkeypatch):
    priors, target = points(), random_objects(20, 0, step=16)
    whole = matched(priors, target)
    monkeypatch.setattr(chunks, "MOST_PAIRS", 3 * len(priors.boxes))
    assert torch.equal(matched(priors, target), whole)
    assert (whole == BACKGROUND).any()
