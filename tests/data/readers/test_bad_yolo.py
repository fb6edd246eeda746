"""YOLO files that are broken or contradictory."""

import pytest

from detkit.data.readers.yolo_reader import YoloReader
from detkit.errors import DataError

LABELS = "labels/train/a.txt"
GOOD = "1 0.5 0.5 0.5 0.2"


def read(yolo, text):
    (yolo / LABELS).write_bytes(text if isinstance(text, bytes) else text.encode())
    return YoloReader().read(yolo, "train")


@pytest.mark.parametrize(("line", "why"), [
    ("2 .5 .5 .1 .1", "class 2 of 2, counted from 0"),
    ("-1 .5 .5 .1 .1", "class -1 of 2, counted from 0"),
    ("0.5 .5 .5 .1 .1", "not `class cx cy w h`"),
    ("nan .5 .5 .1 .1", "not `class cx cy w h`"),
    ("dog .5 .5 .1 .1", "the class name 'dog' instead of a number; write its number, 0"),
    ("red fox .5 .5 .1 .1", "the class name 'red fox' instead of a number; no class of this "
     "data set has that name"),
    ("0 .5 .5 .1 .1 17", "6 values, one too many; delete that column"),
    ("0", "not `class cx cy w h`"),
    ("0 .5 .5 .1", "not `class cx cy w h`"),
    ("0 .5 .5 .1 .1 .9", "6 values, the last of them a confidence; delete that column"),
    ("0, .5, .5, .1, .1", "values separated by commas; separate them by spaces"),
    ("0,.5,.5,.1,.1", "values separated by commas; separate them by spaces"),
    ("0;.5;.5;.1;.1", "values separated by semicolons; separate them by spaces"),
    ("0 0,5 0,5 0,1 0,1", "decimal commas; write 0.5 instead of 0,5"),
    ("0 .5 .5 .1 .1 .4 .4 2", "key points after the box; write kpt_shape: [1, 3] in data.yaml"),
    ("0 .5 .5 .1 .1 .4 .4 2 0 0 0", "key points after the box; write kpt_shape: [2, 3] in "
     "data.yaml"),
    ("0 20 15 4 4", "values above 1, which cannot be fractions of the image size"),
    ("0 .5 .5 1.2 .1", "values above 1, which cannot be fractions of the image size"),
    ("0 .5 .5 -.1 .1", "negative width or height"),
    ("0 .5 .5 .1 0", "no area"),
    ("0 -.5 .5 .1 .1", "outside the image"),
    ("0 .5 .5 .1 nan", "not finite"),
    ("0 .5 .5 .1 inf", "not finite"),
])  # fmt: skip
def test_a_faulty_line_is_left_out_and_named_with_its_number(yolo, caplog, line, why):
    index = read(yolo, f"{GOOD}\n\n{line}\n")
    assert index.labels.tolist() == [1]
    assert index.dropped == [f"1 box ({why}): images/train/a.jpg (label line 3)"]
    assert caplog.messages == [f"left out of {yolo}: {index.dropped[0]}"]


def test_line_ends_of_windows_blank_lines_and_a_mark_of_byte_order_are_no_faults(yolo):
    index = read(yolo, f"\ufeff{GOOD}\r\n\r\n  \t\r\n0 .5 .5 1 1\r\n")
    assert index.labels.tolist() == [1, 0]
    assert index.dropped == []


def test_a_share_a_little_above_one_is_cut(yolo):
    assert read(yolo, "0 .5 .5 1.000001 1.00001").boxes.tolist() == [[0, 0, 40, 30]]


def test_an_image_with_a_binary_label_file_is_skipped(yolo):
    index = read(yolo, b"\xff\xfe1\x00")
    assert [index.path(n).name for n in range(len(index))] == ["b.jpg"]
    assert index.dropped == ["1 image (its label file is no text): images/train/a.jpg"]


# pain 14
def test_an_empty_label_file_is_an_image_without_objects(yolo):
    assert read(yolo, "").object_offsets.tolist() == [0, 0, 0]


def test_images_that_share_a_label_file_are_named(yolo, pictures, caplog):
    pictures(yolo / "images" / "train" / "a.png")
    index = YoloReader().read(yolo, "train")
    assert len(index) == 3
    assert "2 images (shares its label file with another image of the same name): "\
        "images/train/a.jpg, images/train/a.png" in caplog.text  # fmt: skip


@pytest.mark.parametrize(("page", "message"), [
    ("names: {0: a, 2: b}", r"numbers its classes 0, 2: expected 0, 1, ... to 1"),
    ("names: {a: dog}", r"numbers its classes a: expected 0"),
    ("names: [[a, b]]", r"the class name \['a', 'b'\] is not text"),
    ("names: [a, a]", r"names these classes twice: a"),
    ("names: [a, b]\nnc: 3", r"says nc: 3 but names 2 classes; correct one"),
    ("names: [a, b\n", r"data\.yaml' line 2 is no valid YAML: expected ',' or '\]'.*\. Correct it"),
    ("names:\n\t- a\n", r"data\.yaml' line 2 is no valid YAML: found character '\\t' that cannot"),
    ("names: {0: a, 0: b", r"is no valid YAML"),
    ("names: {0: a, 0: b}", r"data\.yaml' line 1 is no valid YAML: it has the key 0 twice\."),
    ("names: [a, '']", r"class 1 has no name"),
    ("names: cat", r"names is 'cat', which is neither a list nor a file below"),
    ("names: [a, b]\nkpt_shape: 17", r"kpt_shape is 17; expected \[number of key points, 2 or 3"),
])  # fmt: skip
def test_class_names_that_do_not_number_the_labels_are_an_error(yolo, page, message):
    (yolo / "data.yaml").write_text(page)
    with pytest.raises(DataError, match=message):
        YoloReader().read(yolo, "train")


def test_aliases_that_expand_without_end_are_refused(yolo):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    (yolo / "data.yaml").write_text("\n".join([*lines, "names: *a11"]))
    with pytest.raises(DataError, match=r"the class name .* is not text"):
        YoloReader().read(yolo, "train")


@pytest.mark.parametrize("stem", ["a b", "猫", "it's “x”", "two\nlines", "d.v2"])
def test_any_name_that_a_file_can_have_is_read(yolo, stem):
    (yolo / "images/train/a.jpg").rename(yolo / f"images/train/{stem}.JPG")
    (yolo / LABELS).rename(yolo / f"labels/train/{stem}.txt")
    index = YoloReader().read(yolo, "train")
    position = [index.path(n).stem for n in range(2)].index(stem)
    assert np_count(index, position) == 1


def np_count(index, position):
    start, stop = index.object_offsets[position : position + 2]
    return stop - start


def test_lists_with_line_ends_of_windows_and_spaces(yolo, pictures):
    pictures(yolo / "images" / "train" / "a b.jpg")
    (yolo / "mine.txt").write_bytes("\ufeff./images/train/a b.jpg\r\n\r\n".encode())
    (yolo / "data.yaml").write_text("train: mine.txt\nextra: images/val\nnames: [dog, cat]\n")
    (yolo / "labels/train/a b.txt").write_text(GOOD)
    reader = YoloReader()
    assert reader.splits(yolo) == ["extra", "train"]
    assert reader.read(yolo, "train").path(0).name == "a b.jpg"
