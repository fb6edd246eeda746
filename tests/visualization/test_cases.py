"""Sheets of what is wrong with annotations."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from detkit.visualization.cases import Case, draw_case, draw_cases
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
