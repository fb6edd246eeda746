"""Recognise the format of a folder, and the message if there is none."""

import json
import logging

import pytest

from detkit.data.readers.auto import AutoReader, detect
from detkit.data.readers.coco_reader import CocoReader
from detkit.data.readers.voc_reader import VocReader
from detkit.data.readers.yolo_reader import YoloReader
from detkit.errors import DataError

PAGE = "<annotation><object><name>cat</name></object></annotation>"


@pytest.fixture
def folder(tmp_path, pictures):
    """A folder with an image below `tmp_path`, with no other files nearby."""
    pictures(tmp_path / "mine" / "images" / "a.jpg")
    return tmp_path / "mine"


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def message(folder):
    with pytest.raises(DataError) as caught:
        AutoReader().splits(folder)
    return str(caught.value)


# pain 29
@pytest.mark.parametrize("case", [(1, 3, VocReader), (3, 1, CocoReader), (2, 2, CocoReader)])
def test_the_format_with_most_images_is_read(folder, caplog, coco_files, case):
    images, pages, reader = case
    coco_files(folder / "result.json", [f"{n}.jpg" for n in range(images)], [])
    for number in range(pages):
        put(folder / "xml" / f"{number}.xml", PAGE)
    with caplog.at_level(logging.INFO, logger="detkit"):
        assert isinstance(detect(folder), reader)
    (line,) = caplog.messages
    assert f"COCO ({images} image" in line
    assert f"Pascal VOC ({pages} image" in line
    other = "coco" if reader is VocReader else "voc"
    assert f"set data.reader={other} to read" in line


def test_the_line_about_several_formats_comes_once(folder, caplog, coco_files):
    coco_files(folder / "train.json", ["a.jpg"], [])
    put(folder / "xml" / "a.xml", PAGE)
    reader = AutoReader()
    with caplog.at_level(logging.INFO, logger="detkit"):
        reader.splits(folder)
        reader.read(folder, "train")
    assert sum("several formats" in message for message in caplog.messages) == 1


def test_a_stray_file_does_not_decide(folder):
    put(folder / "labels" / "a.txt", "0 .5 .5 .1 .1\n")
    put(folder / "data.yaml", "names: [cat]\n")
    put(folder / "test.json", "[]")
    assert isinstance(detect(folder), YoloReader)
    put(folder / "pom.xml", "<project/>")
    assert isinstance(detect(folder), YoloReader)


def test_a_broken_file_with_a_name_of_coco_is_explained_by_its_reader(folder):
    put(folder / "annotations" / "instances_train.json", '{"images": [')
    with pytest.raises(DataError, match=r"instances_train.json' cannot be read as COCO JSON"):
        AutoReader().read(folder, "train")


def test_a_wrong_page_beside_a_good_data_set_does_not_stop_it(folder, coco_files):
    coco_files(folder / "result.json", ["a.jpg"], [])
    put(folder / "data.yaml", "names: {0: cat, 7: dog}\n")
    assert isinstance(detect(folder), CocoReader)


@pytest.mark.parametrize(("name", "text", "clue"), [
    ("data.yaml", "train: images\nval: images\n", r"'data.yaml' has no `names`"),
    ("labels/a.txt", "0 .5 .5 .1 .1\n", r"1 text file such as 'labels/a.txt' may be YOLO labels, "
     r"but no file names their classes: add data.yaml"),
    ("notes.json", '{"images": [], "annotations": []}',
     r"'notes.json' looks like COCO, but lacks the list categories"),
    ("annotations.xml", "<?xml version='1.0'?><annotations/>",
     r"'annotations.xml' has the root <annotations>, not <annotation>, as CVAT writes it, but"),
    ("a.xml", "", r"'a.xml' is empty or not XML"),
    ("boxes.csv", "ImageID,XMin\n", r"'boxes.csv' is a table"),
    ("detections.json", "[]", r"'detections.json' is JSON without COCO's lists"),
    ("readme.md", "", r"It has 1 image but no annotation files"),
])  # fmt: skip
def test_the_message_says_what_is_missing(folder, name, text, clue):
    put(folder / name, text)
    with pytest.raises(DataError, match=clue):
        AutoReader().splits(folder)
    assert message(folder).endswith("or name the format in data.reader.")


@pytest.mark.parametrize("depth", ["deep", "deep/er"])
def test_a_data_set_further_down_is_named(tmp_path, pictures, depth):
    pictures(tmp_path / depth / "images" / "a.jpg")
    put(tmp_path / depth / "labels" / "a.txt", "0 .5 .5 .1 .1\n")
    put(tmp_path / depth / "data.yaml", "names: [cat]\n")
    assert f"set data.path to '{tmp_path / depth}' (YOLO)" in message(tmp_path)


@pytest.mark.parametrize("part", ["images", "labels", "images/train"])
def test_a_data_set_further_up_is_named(folder, pictures, part):
    pictures(folder / "images" / "train" / "a.jpg")
    put(folder / "labels" / "train" / "a.txt", "0 .5 .5 .1 .1\n")
    put(folder / "data.yaml", "names: [cat]\n")
    assert f"set data.path to '{folder}' (YOLO)" in message(folder / part)


def test_the_folder_above_is_not_named_for_any_folder_of_photographs(tmp_path, coco_files,
                                                                     pictures):  # fmt: skip
    coco_files(tmp_path / "other" / "result.json", ["a.jpg"], [])
    pictures(tmp_path / "holiday" / "b.jpg")
    assert "The folder above" not in message(tmp_path / "holiday")


def test_json_of_an_earlier_run_is_no_data_set(folder):
    put(folder / "audit.json", json.dumps({"path": "x", "findings": []}))
    assert "not recognised" in message(folder)
