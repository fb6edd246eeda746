from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask

from detkit.structures import Outlines
from detkit.structures.outlines import rectangles_of

SQUARE = np.array([[10.0, 10], [30, 10], [30, 25], [10, 25]])
SIZE = (40, 40)


def painted(left, top, right, bottom):
    bitmap = np.zeros(SIZE, np.bool_)
    bitmap[top:bottom, left:right] = True
    return bitmap


def test_a_square_covers_the_pixels_whose_centre_it_holds():
    assert np.array_equal(Outlines.of([[SQUARE]]).bitmap(0, SIZE), painted(10, 10, 30, 25))


def test_clipping_keeps_the_pixels_of_a_window():
    clipped = Outlines.of([[SQUARE]]).clipped((15, 12), (40, 20))
    assert np.array_equal(clipped.bitmap(0, SIZE), painted(15, 12, 30, 20))


def test_an_object_outside_of_the_window_has_no_mask():
    assert Outlines.of([[SQUARE], []]).clipped((31, 0), (40, 40)).has_mask.tolist() == [False] * 2


def test_a_quarter_turn_equals_the_turned_bitmap():
    turn = np.array([[0.0, -1, 40], [1, 0, 0], [0, 0, 1]])
    turned = Outlines.of([[SQUARE]]).moved(turn).bitmap(0, SIZE)
    assert np.array_equal(turned, np.rot90(painted(10, 10, 30, 25), -1))


def test_pixels_as_rectangles_give_the_same_pixels_inside_any_window():
    bitmap = np.random.default_rng(0).random((13, 17)) > 0.5
    outlines = Outlines.of([rectangles_of(bitmap)])
    assert np.array_equal(outlines.bitmap(0, bitmap.shape), bitmap)
    window = outlines.clipped((3, 2), (9, 8)).bitmap(0, bitmap.shape)
    assert np.array_equal(window[2:8, 3:9], bitmap[2:8, 3:9])
    assert window.sum() == bitmap[2:8, 3:9].sum()


@pytest.mark.parametrize("seed", range(3))
def test_a_polygon_equals_that_of_pycocotools_within_a_pixel_of_its_border(seed):
    random = np.random.default_rng(seed)
    angles = np.sort(random.random(8) * 6.28)
    points = 20 + (5 + 13 * random.random((8, 1))) * np.stack([np.cos(angles), np.sin(angles)], 1)
    runs = mask.merge(mask.frPyObjects([points.ravel().tolist()], *SIZE))
    differs = Outlines.of([[points]]).bitmap(0, SIZE) != mask.decode(runs).astype(np.bool_)
    ends = np.roll(points, -1, axis=0)
    border = np.concatenate([points + share * (ends - points) for share in np.linspace(0, 1, 99)])
    for y, x in np.argwhere(differs) + 0.5:
        assert np.hypot(*(border - (x, y)).T).min() <= 1
