"""SSD's assignment on scenes that can be checked by hand: priors in a row, 10 x 10 each."""

import pytest
import torch
from assigner_scenes import anchors, assign, objects, priors_from, random_objects

from detkit.assigners import BestPriorAssigner
from detkit.ops import pairwise_iou

ROW = priors_from([0.0, 0, 10, 10], [10.0, 0, 20, 10], [20.0, 0, 30, 10], [30.0, 0, 40, 10])


def matched(*boxes, foreground=0.5):
    assigner = BestPriorAssigner(foreground=foreground)
    return assign(assigner, ROW, objects(*boxes)).matched.tolist()


def test_an_objects_best_prior_is_positive_however_little_it_overlaps():
    assert matched([11.0, 1, 13, 3]) == [-1, 0, -1, -1]  # IoU 0.04


def test_others_are_positive_from_the_threshold_on():
    # 10 of 30 pixels: each IoU is 1/3; the first of the three equal ones is the best.
    wide = [0.0, 0, 30, 10]
    assert matched(wide) == [0, -1, -1, -1]
    assert matched(wide, foreground=0.33) == [0, 0, 0, -1]
    assert matched([0.0, 0, 20, 10]) == [0, 0, -1, -1]  # IoU 0.5 is enough


def test_a_prior_takes_the_object_that_it_overlaps_most():
    assert matched([0.0, 0, 10, 6], [0.0, 0, 10, 9], [30.0, 0, 40, 10]) == [1, -1, -1, 2]


def test_a_best_prior_is_kept_from_an_object_that_overlaps_it_more():
    priors = priors_from([0.0, 0, 10, 10], [5.0, 0, 15, 10])
    narrow, wide = [0.0, 0, 5, 10], [2.0, 0, 14, 10]  # with the first 1/2, 8/14; the second 0, 9/13
    found = assign(BestPriorAssigner(), priors, objects(narrow, wide))
    assert found.matched.tolist() == [0, 1]


def test_of_two_objects_with_one_best_prior_the_nearer_has_it_and_the_other_the_next():
    farther, nearer = [11.0, 0, 24, 10], [10.0, 0, 20, 9]
    assert matched(farther, nearer) == [-1, 1, 0, -1]
    assert matched(nearer, farther) == [-1, 0, 1, -1]


def test_the_first_of_two_equal_objects_has_the_best_prior():
    twice = [8.0, 0, 20, 10]
    assert matched(twice, twice) == [1, 0, -1, -1]


def test_an_object_stays_unmatched_if_no_free_prior_overlaps_it():
    inside = [1.0, 1, 3, 3]
    assert matched(inside, inside, inside) == [0, -1, -1, -1]
    assert matched([100.0, 100, 110, 110]) == [-1, -1, -1, -1]
    assert matched([5.0, 5, 5, 5]) == [-1, -1, -1, -1]  # no area


def test_all_is_background_without_objects():
    assert matched() == [-1, -1, -1, -1]


@pytest.mark.parametrize("seed", range(4))
def test_equals_a_direct_transcription(seed):
    priors, target = anchors(), random_objects(30, seed, step=8)
    overlaps = pairwise_iou(target.boxes, priors.boxes)
    values, expected = overlaps.max(dim=0)
    expected = expected.masked_fill(values < 0.5, -1)
    free, waiting = overlaps.clone(), list(range(30))
    own = {}
    while waiting:
        wishes = {n: (float(free[n].max()), int(free[n].argmax())) for n in waiting}
        waiting = [n for n in waiting if wishes[n][0] > 0]
        for prior in {wishes[n][1] for n in waiting}:
            rivals = [n for n in waiting if wishes[n][1] == prior]
            own[prior] = max(rivals, key=lambda n: (wishes[n][0], -n))
        free[:, list(own)] = 0
        waiting = [n for n in waiting if n not in own.values()]
    for prior, number in own.items():
        expected[prior] = number
    found = assign(BestPriorAssigner(), priors, target).matched
    assert torch.equal(found, expected)
    assert set(range(30)) <= set(found.tolist())


def test_objects_in_several_chunks_are_matched_the_same(monkeypatch):
    priors, target = anchors(), random_objects(30, 1, step=8)
    whole = assign(BestPriorAssigner(), priors, target).matched
    monkeypatch.setattr("detkit.ops.chunks.MOST_PAIRS", 7 * len(priors.boxes))
    assert torch.equal(assign(BestPriorAssigner(), priors, target).matched, whole)
