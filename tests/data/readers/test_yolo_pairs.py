"""Label files of YOLO without their image, and images without their label file."""

import logging
import shutil
from pathlib import Path

import pytest

from detkit.data.readers.yolo_pairs import looks_like_labels
from detkit.data.readers.yolo_reader import YoloReader
from detkit.errors import DataError

BOX = "0 .5 .5 .5 .5"


def test_an_image_without_a_label_file_is_named(yolo):
    pairing = YoloReader().read(yolo, "train").pairing
    assert pairing.images_without_annotation == ["images/train/b.jpg"]
    assert pairing.annotations_without_image == []


def test_an_image_that_cannot_be_used_is_not_trained_as_background(yolo):
    (yolo / "images/train/b.jpg").write_bytes(b"text")
    assert YoloReader().read(yolo, "train").pairing.images_without_annotation == []


# pain 30
def test_a_label_file_without_an_image_is_named_in_its_split(yolo, caplog):
    (yolo / "labels/train/z.txt").write_text(BOX)
    assert YoloReader().read(yolo, "val").pairing.annotations_without_image == []
    index = YoloReader().read(yolo, "train")
    assert index.pairing.annotations_without_image == ["labels/train/z.txt"]
    assert caplog.messages == [
        f"left out of {yolo}: 1 label file without an image: labels/train/z.txt"
    ]


# pain 30
@pytest.mark.parametrize("name", ["train/B.txt", "train/b.TXT", "train/b.jpg.txt", "b.txt"])
def test_a_label_file_of_another_spelling_gives_its_objects(yolo, caplog, name):
    (yolo / "labels" / name).write_text(BOX)
    with caplog.at_level(logging.INFO, logger="detkit"):
        index = YoloReader().read(yolo, "train")
    assert index.object_offsets.tolist() == [0, 1, 2]
    assert "matched 1 label file in " in caplog.text
    assert not index.pairing.images_without_annotation


def test_label_files_in_a_folder_of_another_name_are_matched(yolo):
    (yolo / "labels").rename(yolo / "yolo_txt")
    index = YoloReader().read(yolo, "train")
    assert len(index.boxes) == 1
    assert index.pairing.matches == {"name in another folder": 1}


@pytest.mark.parametrize("name", ["classes.txt", "train.txt", "README.txt", ".x.txt"])
def test_other_texts_are_no_label_files(yolo, name):
    (yolo / "labels/train" / name).write_text("./images/train/a.jpg\n")
    (yolo / "README.txt").write_text("Exported by a tool on 2026-01-01\n")
    assert YoloReader().read(yolo, "train").pairing.annotations_without_image == []


def test_of_two_label_files_of_an_image_the_unused_is_named(yolo):
    (yolo / "images/train/a.txt").write_text(BOX)
    index = YoloReader().read(yolo, "train")
    assert index.labels.tolist() == [1]
    assert index.notes == [
        "1 image (has two label files; the one in labels/ is used): images/train/a.jpg"
    ]


def test_labels_that_belong_to_no_image_at_all_are_an_error_that_counts_them(yolo):
    shutil.move(yolo / "labels/train/a.txt", yolo / "labels/train/q.txt")
    with pytest.raises(DataError, match=r"found 1 label file without an image \(labels/train"):
        YoloReader().read(yolo, "train")


# pain 33
def test_hidden_copies_are_neither_images_nor_label_files(yolo):
    hidden = yolo / "images/train/.ipynb_checkpoints"
    hidden.mkdir()
    shutil.copy(yolo / "images/train/a.jpg", hidden / "a-checkpoint.jpg")
    (yolo / "labels/train/._a.txt").write_bytes(b"\0\5\x16\7")
    index = YoloReader().read(yolo, "train")
    assert len(index) == 2
    assert not index.pairing.annotations_without_image


@pytest.mark.parametrize(("text", "expected"), [
    (BOX, True), ("\n0,.5,.5,.1,.1", True), ("dog .5 .5 .1 .1", False), ("", False),
    ("P0: 1 2 3 4 5", False), ("a.jpg 1 2 3 4", False),
])  # fmt: skip
def test_label_files_are_known_by_their_numbers(tmp_path, text, expected):
    (tmp_path / "a.txt").write_text(text)
    assert looks_like_labels(tmp_path / "a.txt") is expected


def test_the_working_folder_is_read_as_the_same_folder_by_its_name(yolo, monkeypatch):
    (yolo / "labels/train/c.txt").write_text(BOX)  # like that of images/val/c.jpg
    (yolo / "images/train/c.jpg").write_bytes((yolo / "images/val/c.jpg").read_bytes())
    expected = YoloReader().read(yolo, "train")
    monkeypatch.chdir(yolo)
    index = YoloReader().read(Path(), "train")
    assert index.object_offsets.tolist() == expected.object_offsets.tolist() == [0, 1, 1, 2]
    assert not index.pairing.matches


def test_images_outside_of_the_working_folder_have_their_labels(yolo, monkeypatch):
    (yolo / "set").mkdir()
    (yolo / "set/data.yaml").write_text("train: ../images/train\nnames: [dog, cat]\n")
    monkeypatch.chdir(yolo / "set")
    assert len(YoloReader().read(Path(), "train").boxes) == 1
