"""Label lines with more than a box, and files entirely in another format."""

import logging

import pytest

from detkit.data.readers.yolo_reader import YoloReader
from detkit.errors import DataError

LABELS = "labels/train/a.txt"


def read(yolo, text, page="names: [dog, cat]"):
    (yolo / "data.yaml").write_text(page)
    (yolo / LABELS).write_text(text)
    return YoloReader().read(yolo, "train")


# pain 31
@pytest.mark.parametrize(("shape", "points"), [("[2, 2]", ".1 .1 .9 .9"), ("[1, 3]", ".1 .1 2")])
def test_the_box_of_a_pose_is_the_box(yolo, caplog, shape, points):
    with caplog.at_level(logging.INFO, logger="detkit"):
        index = read(yolo, f"1 .5 .5 .5 .2 {points}\n", f"names: [a, b]\nkpt_shape: {shape}")
    assert index.boxes[0].tolist() == pytest.approx([10, 12, 30, 18])
    assert index.unused == {"key points": 1}
    assert "the boxes are used, the key points are not" in caplog.text


def test_a_pose_data_set_may_hold_boxes_without_key_points(yolo):
    assert len(read(yolo, "1 .5 .5 .5 .2", "names: [a, b]\nkpt_shape: [17, 3]").boxes) == 1


def test_another_number_of_key_points_than_the_page_says_is_an_error(yolo):
    with pytest.raises(
        DataError, match=r"a\.txt' line 1: 7 values; expected 9, because kpt_shape is \[2"
    ):
        read(yolo, "1 .5 .5 .5 .2 .1 .1\n", "names: [a, b]\nkpt_shape: [2, 2]")


def test_an_oriented_box_becomes_the_box_around_its_corners(yolo, caplog):
    line = "1 .5 .2 .8 .5 .5 .8 .2 .5\n"
    with caplog.at_level(logging.INFO, logger="detkit"):
        index = read(yolo, line * 2)
    assert index.boxes[0].tolist() == pytest.approx([8, 6, 32, 24])
    assert index.unused == {"oriented boxes": 2}
    assert "hold 2 oriented boxes: the axis-aligned box around the corners is used (ever" in (
        caplog.text
    )


def test_polygons_of_any_number_of_corners_are_no_key_points(yolo, caplog):
    with caplog.at_level(logging.INFO, logger="detkit"):
        index = read(yolo, "0 .1 .1 .9 .1 .5 .9\n0 .1 .1 .9 .1 .9 .9 .1 .9\n")
    assert index.unused == {"polygons": 2}
    assert "kpt_shape" not in caplog.text


# pain 12
def test_labels_that_count_from_one_are_an_error(yolo):
    with pytest.raises(DataError, match=r"a\.txt': the labels of this split are 1 to 2.*subtract"):
        read(yolo, "1 .5 .5 .1 .1\n2 .5 .5 .2 .2\n" * 2)
    assert len(read(yolo, "1 .5 .5 .1 .1\n0 .5 .5 .2 .2\n" * 2 + "2 .5 .5 .1 .1").boxes) == 4


# pain 31
@pytest.mark.parametrize(("line", "problem"), [
    ("0 .5 .5 .1 .1 .9", "6 values, the last of them a confidence; delete that column"),
    ("0,.5,.5,.1,.1", "values separated by commas; separate them by spaces"),
    ("0 20 15 4 4", "values above 1, which cannot be fractions of the image size"),
    ("dog .5 .5 .1 .1", "the class name 'dog' instead of a number; write its number, 0"),
])  # fmt: skip
def test_files_of_another_format_are_an_error_with_file_and_line(yolo, line, problem):
    with pytest.raises(DataError, match=rf"train/a\.txt' line 2: {problem}. 2 of 3 label lines"):
        read(yolo, f"0 .5 .5 .1 .1\n{line}\n{line}\n")
