import pytest
from assigner_scenes import anchors, assign, objects, priors_from, random_objects
from torchvision.models.detection._utils import Matcher
from torchvision.ops import box_iou

from detkit.assigners import MaxIoUAssigner
from detkit.errors import UserError
from detkit.ops import chunks
from detkit.structures import BACKGROUND, IGNORED

OBJECT = [0.0, 0.0, 10.0, 10.0]


def matched(priors, target, **changes):
    return assign(MaxIoUAssigner(**changes), priors, target).matched.tolist()


def test_thresholds():
    # IoU 0.5, just below, 0.4 and just below.
    priors = priors_from(*([0.0, 0.0, 10.0, side] for side in (5.0, 4.9, 4.0, 3.9)))
    found = matched(priors, objects(OBJECT), low_quality=False)
    assert found == [0, IGNORED, IGNORED, BACKGROUND]


def test_the_object_with_the_highest_iou_wins_and_the_first_of_equals():
    priors = priors_from(OBJECT, [0.0, 0.0, 10.0, 9.0])
    target = objects([0.0, 0.0, 10.0, 8.0], OBJECT, OBJECT)
    assert matched(priors, target, low_quality=False) == [1, 1]


def test_low_quality_matches_include_ties():
    # The first two share the highest IoU with the object, 0.1; the third has 0.09.
    priors = priors_from([0.0, 0.0, 10.0, 1.0], [0.0, 9.0, 10.0, 10.0], [0.0, 5.0, 10.0, 5.9])
    assert matched(priors, objects(OBJECT)) == [0, 0, BACKGROUND]
    assert matched(priors, objects(OBJECT), low_quality=False) == [BACKGROUND] * 3


def test_a_low_quality_match_goes_to_the_own_best_object():
    # The prior is the best of the large object, but overlaps the small one more.
    priors = priors_from([0.0, 0.0, 10.0, 4.0])
    target = objects([0.0, 0.0, 100.0, 100.0], [0.0, 0.0, 10.0, 1.5])
    assert matched(priors, target) == [1]


@pytest.mark.parametrize("nowhere", [[500.0, 500.0, 520.0, 520.0], [3.0, 3.0, 3.0, 3.0]])
def test_an_object_that_overlaps_no_prior_makes_none_positive(nowhere):
    priors = priors_from(OBJECT, [50.0, 50.0, 60.0, 60.0])
    assert matched(priors, objects(nowhere)) == [BACKGROUND] * 2
    assert matched(priors, objects(nowhere, OBJECT)) == [1, BACKGROUND]


@pytest.mark.parametrize("low_quality", [True, False])
@pytest.mark.parametrize("step", [None, 16])
def test_equals_torchvision(low_quality, step):
    priors = anchors(octaves=2, ratios=(0.5, 1.0, 2.0))
    for seed in range(5):
        target = random_objects(7, seed, step)
        expected = Matcher(0.5, 0.4, low_quality)(box_iou(target.boxes, priors.boxes))
        assert (expected >= 0).any()
        assert matched(priors, target, low_quality=low_quality) == expected.tolist()


def test_many_objects_are_compared_in_parts_with_the_same_result(monkeypatch):
    priors, target = anchors(), random_objects(20, 0, step=16)
    whole = matched(priors, target)
    monkeypatch.setattr(chunks, "MOST_PAIRS", 3 * len(priors.boxes))
    assert matched(priors, target) == whole


def test_thresholds_in_the_wrong_order():
    with pytest.raises(UserError, match=r"background 0\.6 is above foreground 0\.5: lower"):
        MaxIoUAssigner(background=0.6)
