"""Scenes on 3 x 3 cells of 8 pixels, whose answers can be seen in a drawing.

Two anchors in each cell: "small" of 6 x 6 and "wide" of 16 x 8. Priors are numbered cell by cell,
row by row: small is 2 * cell, wide is 2 * cell + 1; the middle cell is number 4.
"""

import pytest
import torch
from assigner_scenes import CPU, assign, objects

from detkit.assigners.grid_cell import GridCellAssigner
from detkit.priors import AnchorSizes
from detkit.structures import FeatureSpec

SMALL, WIDE = (6.0, 6.0), (16.0, 8.0)
BACKGROUND, IGNORED = -1, -2


def scene(*levels):
    """Priors of 3 x 3 cells of 8 pixels, and of others after them, as far as there are sizes."""
    specs = [FeatureSpec(1, 8 * 2**level) for level in range(len(levels))]
    sizes = [(-(-3 // 2**level),) * 2 for level in range(len(levels))]
    return AnchorSizes(feature_specs=specs, sizes=levels)(sizes, CPU)


PRIORS = scene((SMALL, WIDE))


def matched(target, priors=PRIORS, **settings):
    return assign(GridCellAssigner(**settings), priors, target).matched


def positives(found):
    return {int(place): int(found[place]) for place in (found >= 0).nonzero()}


def centred(x, y, width, height):
    return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]


def test_two_objects_in_two_cells():
    # A square in the middle cell, a bar whose centre is in the lower left one.
    found = matched(objects(centred(13, 10, 5, 6), centred(4, 20, 14, 7)), ignored_iou=1.0)
    assert positives(found) == {2 * 4: 0, 2 * 6 + 1: 1}
    assert set(found.tolist()) == {BACKGROUND, 0, 1}


def test_the_object_belongs_to_the_cell_of_its_centre_only():
    # It covers the whole picture; its centre is just left of the middle cell's left border.
    found = matched(objects(centred(7.9, 12, 15.8, 8)), ignored_iou=1.0)
    assert positives(found) == {2 * 3 + 1: 0}


@pytest.mark.parametrize(("x", "cell"), [(7.9, 3), (8.0, 4), (15.9, 4), (16.0, 5)])
def test_a_border_belongs_to_the_cell_on_its_right(x, cell):
    assert positives(matched(objects(centred(x, 12, 6, 6)), ignored_iou=1.0)) == {2 * cell: 0}


def test_the_best_anchor_of_all_levels_is_taken():
    # 16 x 8 of the first level fits 15 x 8 by 0.94, 12 x 12 of the second by less.
    priors = scene((SMALL, WIDE), ((12.0, 12.0), (30.0, 30.0)))
    found = matched(objects(centred(12, 12, 15, 8)), priors, ignored_iou=1.0)
    assert positives(found) == {2 * 4 + 1: 0}
    found = matched(objects(centred(12, 12, 13, 12)), priors, ignored_iou=1.0)
    assert positives(found) == {2 * 9: 0}  # the cell of 16 x 16 that holds (12, 12) is the first


def test_a_prior_takes_the_object_of_the_better_shape():
    found = matched(objects(centred(12, 12, 5, 5), centred(13, 12, 6, 6)), ignored_iou=1.0)
    assert positives(found) == {2 * 4: 1}


def test_of_equal_shapes_the_first_is_taken():
    found = matched(objects(centred(12, 12, 5, 5), centred(13, 12, 5, 5)), ignored_iou=1.0)
    assert positives(found) == {2 * 4: 0}


def test_yolov4_takes_every_anchor_of_a_fitting_shape():
    # 8 x 8 against 6 x 6: 36/64 = 0.56. Against 16 x 8: 64/128 = 0.5.
    target = objects(centred(12, 12, 8, 8))
    both = {2 * 4: 0, 2 * 4 + 1: 0}
    assert positives(matched(target, ignored_iou=1.0)) == {2 * 4: 0}
    assert positives(matched(target, shape_iou=0.51, ignored_iou=1.0)) == {2 * 4: 0}
    assert positives(matched(target, shape_iou=0.5, ignored_iou=1.0)) == both


def test_the_best_anchor_is_positive_however_small_its_overlap():
    target = objects(centred(12, 12, 1, 1))
    assert positives(matched(target, shape_iou=0.5)) == {2 * 4: 0}


def test_priors_that_overlap_an_object_and_are_not_its_best_are_ignored():
    # 16 x 8 around (12, 12): the wide anchor there is exact, those a cell left and right overlap
    # by 8 * 8 / 192 = 1/3, the small one there by 36 / 128 = 0.28.
    target = objects(centred(12, 12, 16, 8))
    sides = {2 * 3 + 1, 2 * 5 + 1}
    found = matched(target, ignored_iou=0.3)
    assert positives(found) == {2 * 4 + 1: 0}
    assert set((found == IGNORED).nonzero().flatten().tolist()) == sides
    found = matched(target, ignored_iou=0.28)
    assert set((found == IGNORED).nonzero().flatten().tolist()) == sides | {2 * 4}
    assert not (matched(target, ignored_iou=0.5) == IGNORED).any()


def test_many_objects_are_compared_in_chunks_with_the_same_result(monkeypatch):
    from detkit.ops import chunks

    torch.manual_seed(0)
    corners = torch.rand(12, 2) * 20
    target = objects(*torch.cat([corners, corners + 1 + torch.rand(12, 2) * 16], 1).tolist())
    whole = matched(target, shape_iou=0.2)
    monkeypatch.setattr(chunks, "MOST_PAIRS", 5 * len(PRIORS.boxes))
    assert torch.equal(matched(target, shape_iou=0.2), whole)
