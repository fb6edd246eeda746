"""Sheets of what is wrong with annotations."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from detkit.visualization.cases import Case, draw_case, draw_cases, part_of
from detkit.visualization.draw import Mark

GREY = Image.new("RGB", (200, 100), (128, 128, 128))


def red(picture: Image.Image) -> np.ndarray:
    pixels = np.asarray(picture).astype(int)
    return (pixels[..., 0] > 200) & (pixels[..., 1:].max(axis=2) < 60)


@pytest.mark.parametrize(
    "box",
    [(50, 50, 50, 50), (90, 80, 20, 10), (10, 10, 60, 60)],
    ids=["no area", "inverted", "sound"],
)
def test_a_faulty_box_is_red(box):
    assert red(draw_case(Case(GREY, "", [box]))).any()


def test_a_box_without_numbers_is_left_out():
    assert not red(draw_case(Case(GREY, "", [(1, 2, float("nan"), 4)]))).any()


def test_the_surround_is_shown_where_boxes_reach_over_the_edge():
    picture = draw_case(Case(GREY, "", [(180.0, 20.0, 230.0, 60.0)]))
    assert picture.width / picture.height > 200 / 100
    assert red(picture)[:, -20:].any()


def test_the_surround_has_a_limit():
    picture = draw_case(Case(GREY, "", [(0.0, 0.0, 1e9, 10.0)]))
    assert picture.width / picture.height == pytest.approx(250 / 100, rel=0.02)


def test_other_boxes_keep_their_colour():
    mark = Mark((10, 10, 60, 60), "", (0, 0, 255))
    pixels = np.asarray(draw_case(Case(GREY, "", [], "", [mark]))).astype(int)
    assert ((pixels[..., 2] > 200) & (pixels[..., 0] < 60)).any()


def test_a_sheet_has_a_cell_for_each_case():
    one, two = draw_cases([Case(GREY, "a")]), draw_cases([Case(GREY, "a")] * 2)
    assert two.width > 1.9 * one.width
    assert two.height == one.height
    with pytest.raises(ValueError, match="needs one case or more"):
        draw_cases([])


PANORAMA = Image.new("RGB", (20_000, 100), (128, 128, 128))


def test_of_a_panorama_the_part_around_the_box_is_shown():
    picture = draw_case(Case(PANORAMA, "", [(15_000.0, 20.0, 15_060.0, 80.0)]))
    assert min(picture.size) >= 60
    shown = red(picture)
    across = np.flatnonzero(shown.any(axis=0))
    assert 30 <= across[-1] - across[0] <= 80  # a tenth of the part
    assert 200 <= across.mean() <= 280  # in its middle


def test_of_a_tall_picture_too():
    tall = PANORAMA.transpose(Image.Transpose.ROTATE_90)
    picture = draw_case(Case(tall, "", [(20.0, 15_000.0, 80.0, 15_060.0)]))
    assert picture.width >= 60
    assert red(picture).any()


def test_the_part_of_a_panorama_keeps_its_edges_and_their_surround():
    shown = part_of(Case(PANORAMA, "a", [(19_990.0, 20.0, 20_030.0, 80.0)]))
    assert shown.faulty == [(590.0, 20.0, 630.0, 80.0)]
    assert shown.caption == "a (x 19400 to 20000)"
    assert draw_case(shown).width / draw_case(shown).height > 6


def test_boxes_beside_the_part_of_a_panorama_are_left_out():
    faulty = [(100.0, 20.0, 140.0, 80.0), (9000.0, 1.0, 9050.0, 50.0)]
    places = [(350.0, 1.0, 500.0, 9.0), (900.0, 1.0, 950.0, 9.0)]
    others = [Mark(box, "", (0, 0, 255)) for box in places]
    shown = part_of(Case(PANORAMA, "", faulty, "", others))
    assert shown.faulty == [(100.0, 20.0, 140.0, 80.0)]
    assert [mark.box for mark in shown.others] == [(350.0, 1.0, 500.0, 9.0)]


def test_a_box_along_a_panorama_is_cut_where_the_part_ends():
    shown = part_of(Case(PANORAMA, "", [(-5.0, 20.0, 19_000.0, 80.0)]))
    assert shown.faulty == [(0.0, 20.0, 600.0, 80.0)]


def test_a_panorama_without_boxes_shows_its_middle_and_an_ordinary_picture_all():
    assert part_of(Case(PANORAMA, "")).caption == " (x 9700 to 10300)"
    case = Case(GREY, "a")
    assert part_of(case) is case
