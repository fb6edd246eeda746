"""Scenes on 3 x 3 cells of 8 pixels with one anchor of 8 x 8 in each; the middle cell is 4."""

import pytest
import torch
from assigner_scenes import CPU, assign, objects

from detkit.assigners.size_ratio import SizeRatioAssigner
from detkit.priors import AnchorSizes
from detkit.structures import FeatureSpec


def grid(*sizes):
    priors = AnchorSizes(feature_specs=[FeatureSpec(1, 8)], sizes=[sizes])
    return priors([(3, 3)], CPU)


def matched(target, priors=None, **settings):
    priors = grid((8.0, 8.0)) if priors is None else priors
    return assign(SizeRatioAssigner(**settings), priors, target).matched.tolist()


def positives(found):
    return {place: of for place, of in enumerate(found) if of >= 0}


def centred(x, y, width=8.0, height=8.0):
    return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]


@pytest.mark.parametrize(
    ("x", "y", "cells"),
    [
        (10, 10, {4, 3, 1}),  # upper left in the middle cell: also the left and the upper one
        (14, 10, {4, 5, 1}),
        (10, 14, {4, 3, 7}),
        (14, 14, {4, 5, 7}),
        (12, 12, {4}),  # just the middle
        (12, 14, {4, 7}),
        (8, 12, {4, 3}),  # on the border to the left
        (2, 2, {0}),  # nothing beyond the picture
        (22, 22, {8}),
        (6, 2, {0, 1}),
    ],
)
def test_the_own_cell_and_the_nearer_neighbours(x, y, cells):
    assert positives(matched(objects(centred(x, y)))) == dict.fromkeys(cells, 0)


def test_a_reach_of_half_a_cell_is_the_own_cell_only():
    assert positives(matched(objects(centred(10, 10)), reach=0.5)) == {4: 0}


@pytest.mark.parametrize(
    ("width", "height", "fits"),
    [
        (31.9, 8, True),
        (32, 8, False),
        (8, 31.9, True),
        (2.1, 8, True),
        (2, 8, False),
        (2.1, 2, False),
    ],
)
def test_every_side_is_less_than_so_many_times_the_other(width, height, fits):
    assert bool(positives(matched(objects(centred(12, 12, width, height))))) is fits


def test_the_largest_ratio_is_a_choice():
    target = objects(centred(12, 12, 24, 8))
    assert positives(matched(target, largest_ratio=3.1)) == {4: 0}
    assert positives(matched(target, largest_ratio=2.9)) == {}


def test_all_anchors_that_fit_take_it():
    # Anchors of 8, 20 and 40 in a cell: 32 / 8 = 4 is too much, 32 / 20 and 40 / 32 are not.
    priors = grid((8.0, 8.0), (20.0, 20.0), (40.0, 40.0))
    found = matched(objects(centred(12, 12, 32, 32)), priors)
    assert positives(found) == {4 * 3 + 1: 0, 4 * 3 + 2: 0}


def test_two_objects_share_a_neighbourhood_by_the_better_ratio():
    # One leans left in cell 4, one right in cell 3: both want both, and 8 x 8 fits the anchor.
    target = objects(centred(10, 12, 12, 12), centred(6, 12, 8, 8))
    assert positives(matched(target)) == {4: 1, 3: 1}
    target = objects(centred(10, 12, 8, 8), centred(14, 12, 8, 8))
    assert positives(matched(target)) == {3: 0, 4: 0, 5: 1}  # of equals the first


def test_nothing_is_ignored():
    found = matched(objects(centred(10, 10), centred(20, 20, 30, 30)))
    assert min(found) == -1


def test_many_objects_are_compared_in_chunks_with_the_same_result(monkeypatch):
    from detkit.ops import chunks

    torch.manual_seed(0)
    corners = torch.rand(12, 2) * 20
    target = objects(*torch.cat([corners, corners + 1 + torch.rand(12, 2) * 16], 1).tolist())
    whole = matched(target)
    monkeypatch.setattr(chunks, "MOST_PAIRS", 5 * 9)
    assert matched(target) == whole
