"""DenseBox's circles, counted by hand on a grid of cells of 4 pixels."""

import torch
from assigner_scenes import CPU, assign, objects

from detkit.assigners import CircleAssigner
from detkit.priors import Points
from detkit.structures import FeatureSpec

CELLS = (16, 20)  # 64 x 80 pixels
PRIORS = Points(feature_specs=[FeatureSpec(1, 4)], offset=0.5)([CELLS], CPU)


def rows(target, **values):
    """The map of matches as text: digits are objects, `.` ignored cells, spaces background."""
    matched = assign(CircleAssigner(**values), PRIORS, target).matched.view(CELLS)
    characters = {-1: " ", -2: "."}
    return ["".join(characters.get(n, str(n)) for n in row).rstrip() for row in matched.tolist()]


def test_a_circle_of_three_tenths_of_the_height_and_a_ring_of_two_cells():
    # Around (30, 30), the centre of cell (7, 7): radius 0.3 * 30 = 9 pixels, ring up to 17.
    assert rows(objects([10.0, 15, 50, 45]))[2:13] == [
        "",
        "      ...",
        "    .......",
        "    ..000..",
        "   ..00000..",
        "   ..00000..",
        "   ..00000..",
        "    ..000..",
        "    .......",
        "      ...",
        "",
    ]


def test_without_a_margin_nothing_is_ignored():
    assert "." not in "".join(rows(objects([10.0, 15, 50, 45]), margin=0.0))


def test_the_circle_of_a_tall_object_ends_at_its_sides():
    matched = rows(objects([28.0, 10, 36, 60]), margin=0.0)
    assert {row.strip(" .") for row in matched if row} == {"00"}
    assert sum(map(bool, matched)) == 7  # within 15 pixels of the centre


def test_an_object_smaller_than_a_cell_has_the_cell_of_its_centre():
    matched = rows(objects([9.0, 9, 10, 10]), margin=0.0)
    assert matched[2] == "  0"
    assert "".join(matched).strip() == "0"


def test_the_smaller_of_two_objects_takes_their_common_cells():
    both = objects([10.0, 10, 50, 50], [26.0, 26, 34, 34])
    assert rows(both)[7][7] == "1"
    assert rows(both)[5][7] == "0"


def test_an_object_inside_the_ring_of_another_is_learned():
    both = objects([10.0, 15, 50, 45], [44.0, 28, 48, 32])
    assert rows(both)[7][11] == "1"
    assert torch.equal(
        assign(CircleAssigner(), PRIORS, both).matched == 0,
        assign(CircleAssigner(), PRIORS, objects([10.0, 15, 50, 45])).matched == 0,
    )
