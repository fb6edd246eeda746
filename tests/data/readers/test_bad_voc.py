"""VOC files that are cut short, hostile or contradictory."""

import time

import numpy as np
import pytest
from PIL import Image

from detkit.data.readers.voc_reader import VocReader
from detkit.errors import DataError

LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a0 "ha">'
    + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    + "]><annotation><filename>&a11;</filename></annotation>"
)
SECRET = (
    '<!DOCTYPE x [<!ENTITY secret SYSTEM "file:///etc/passwd">]>'
    "<annotation><object><name>&secret;</name></object></annotation>"
)
BOX = "<bndbox><xmin>{}</xmin><ymin>2</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"


def page(voc, text, stem="b"):
    (voc / "Annotations" / f"{stem}.xml").write_text(text, encoding="utf-8")


def objects(voc, *entries):
    """Give image b some objects, and read it."""
    body = "".join(f"<object>{entry}</object>" for entry in entries)
    page(voc, f"<annotation>{body}</annotation>")
    (voc / "ImageSets/Main/val.txt").write_text("b\n")
    return VocReader().read(voc, "val")


@pytest.mark.parametrize(("text", "why"), [
    ("<annotation><object><name>cat</na", "not well-formed (invalid token)|unclosed token"),
    ("<annotation><object>", "no element found: line 1, column 20"),
    ("", "empty file"),
    ("<html><body>404</body></html>", "its root is <html>, not <annotation>"),
    (LAUGHS, "it declares entities, which are refused"),
    (SECRET, "it declares entities, which are refused"),
    ('<?xml version="1.0" encoding="none"?><annotation/>', "unknown encoding"),
])  # fmt: skip
def test_a_file_without_annotations_is_skipped_and_named(voc, caplog, text, why):
    page(voc, text)
    start = time.process_time()
    index = VocReader().read(voc, "train")
    assert time.process_time() - start < 1
    assert [index.path(n).stem for n in range(len(index))] == ["a"]
    (line,) = index.dropped
    assert line.startswith("1 annotation file (unreadable XML): Annotations/b.xml (")
    assert any(reason in line for reason in why.split("|"))
    assert caplog.messages == [f"left out of {voc}: {line}"]


@pytest.mark.parametrize(("entry", "why"), [
    ("<name>cat</name>", "without bndbox"),
    ("<name>cat</name><bndbox/>", "xmin, ymin, xmax, ymax are not all numbers"),
    ("<name>cat</name>" + BOX.format("left"), "xmin, ymin, xmax, ymax are not all numbers"),
    ("<name>cat</name>" + BOX.format(""), "xmin, ymin, xmax, ymax are not all numbers"),
    ("<name>cat</name>" + BOX.format("nan"), "not finite"),
    ("<name>cat</name>" + BOX.format("-inf"), "not finite"),
    ("<name>cat</name>" + BOX.format("9"), "no area"),
    ("<name>cat</name>" + BOX.format("12"), "inverted corners"),
    (BOX.format("3"), "without a name"),
])  # fmt: skip
def test_a_faulty_object_is_left_out_and_named_with_its_number(voc, entry, why):
    index = objects(voc, "<name>dog</name>" + BOX.format("3"), entry)
    assert index.boxes.tolist() == [[2, 1, 9, 9]]
    assert index.dropped == [f"1 box ({why}): JPEGImages/b.jpg (object 2)"]


@pytest.mark.parametrize("size", ["", "<size/>", "<size><width>40</width></size>",
                                  "<size><width>0</width><height>0</height></size>",
                                  "<size><width>x</width><height>nan</height></size>",
                                  "<size><width>inf</width><height>3</height></size>"])  # fmt: skip
# pain 23
def test_a_missing_size_is_taken_from_the_file(voc, size):
    page(voc, f"<annotation>{size}</annotation>")
    assert VocReader().read(voc, "train").sizes.tolist() == [[30, 40], [30, 40]]


# pain 14
def test_an_image_with_only_faulty_boxes_is_kept_and_counted(voc):
    index = objects(voc, "<name>cat</name>")
    assert (len(index), len(index.boxes), len(index.dropped)) == (1, 0, 1)


# pain 25
def test_fractions_are_continuous_and_whole_numbers_are_pixels(voc):
    corners = "<bndbox><xmin>{}</xmin><ymin>2</ymin><xmax>{}</xmax><ymax>9</ymax></bndbox>"
    entries = [(3, 9), ("3.5", "9.25"), ("5.0", "4.5")]
    index = objects(voc, *(f"<name>cat</name>{corners.format(*entry)}" for entry in entries))
    assert index.boxes.tolist() == [[2, 1, 9, 9], [2.5, 1, 9.25, 9], [4, 1, 4.5, 9]]


@pytest.mark.parametrize("stem", ["a b", " z", "猫", "it's “x”", "1 1", "d.v2"])
def test_names_with_spaces_and_signs_are_read_from_lists(voc, stem):
    (voc / "JPEGImages" / "b.jpg").rename(voc / "JPEGImages" / f"{stem.strip()}.JPG")
    (voc / "Annotations" / "b.xml").rename(voc / "Annotations" / f"{stem.strip()}.XML")
    (voc / "ImageSets/Main/val.txt").write_bytes(f"\ufeff{stem}\r\n\r\na\r\n".encode())
    index = VocReader().read(voc, "val")
    assert [index.path(n).name for n in range(len(index))] == [f"{stem.strip()}.JPG", "a.jpg"]


def test_a_list_may_name_files(voc):
    (voc / "ImageSets/Main/val.txt").write_text("a.jpg\nb.jpg\n")
    assert len(VocReader().read(voc, "val")) == 2


def test_a_list_other_than_text_is_an_error(voc):
    (voc / "ImageSets/Main/val.txt").write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(DataError, match=r"val.txt' cannot be read as text .* one name a line"):
        VocReader().splits(voc)


def test_of_two_images_with_one_stem_the_named_one_is_meant(voc):
    Image.fromarray(np.zeros((30, 40, 3), dtype=np.uint8)).save(voc / "JPEGImages" / "a.png")
    assert VocReader().read(voc, "train").path(0).name == "a.jpg"  # as <filename> says
    page(voc, "<annotation><filename>old.jpg</filename></annotation>", "a")
    index = VocReader().read(voc, "train")
    assert index.dropped == [
        "1 image (several files of one name): Annotations/a (JPEGImages/a.jpg, JPEGImages/a.png)"
    ]


def test_a_folder_named_like_an_image_is_no_image(voc):
    (voc / "JPEGImages" / "b.jpg").unlink()
    (voc / "JPEGImages" / "b.jpg").mkdir()
    pairing = VocReader().read(voc, "train").pairing
    assert pairing.annotations_without_image == ["Annotations/b.xml"]


def test_listed_classes_keep_their_order_and_those_without_objects(voc):
    (voc / "classes.txt").write_text("wolf\ndog\n")
    assert VocReader().read(voc, "train").class_names == ["wolf", "dog", "cat"]
    (voc / "classes.txt").write_text("dog\ndog\n")
    with pytest.raises(DataError, match=r"classes.txt' names these classes twice: dog"):
        VocReader().read(voc, "train")


def test_values_that_an_index_has_no_place_for_are_counted(voc):
    entry = "<name>cat</name><truncated>1</truncated><pose>Left</pose>" + BOX.format("3")
    plain = "<name>cat</name><truncated>0</truncated><pose>Unspecified</pose>" + BOX.format("3")
    assert objects(voc, entry, plain).unused == {"truncated": 1, "pose": 1}
