"""The declared splits of a YOLO data set are read, or an error."""

import logging
import shutil

import pytest

from detkit.data.readers.yolo_reader import YoloReader, fits
from detkit.errors import DataError


def declare(yolo, **entries):
    lines = [f"{split}: {entry}" for split, entry in entries.items()]
    (yolo / "data.yaml").write_text("\n".join(["names: [dog, cat]", *lines]))


def stems(yolo, split):
    index = YoloReader().read(yolo, split)
    return [index.path(position).stem for position in range(len(index))]


# pain 32
@pytest.mark.parametrize(("entry", "problem"), [
    ("images/vall", r"`val: images/vall` names neither a folder nor a list of images\. Did you "
                    r"mean 'images/val'\?"),
    ("", r"`val:` is empty"),
    ("null", r"`val:` is empty"),
    ("[images/val, images/more]", r"`val: images/more` names neither a folder"),
    ("labels/val", r"`val: labels/val` leads to no image"),
    ("val.json", r"`val: val\.json` names neither a folder nor a list"),
    ("/content/valid/images", r"`val: /content/valid/images` names neither a folder"),
])  # fmt: skip
def test_a_validation_entry_that_leads_nowhere_is_an_error(yolo, entry, problem):
    declare(yolo, train="images/train", val=entry)
    assert YoloReader().splits(yolo) == ["train", "val"]
    with pytest.raises(DataError, match=problem):
        YoloReader().read(yolo, "val")


# pain 32
def test_a_training_entry_that_leads_nowhere_is_an_error(yolo):
    declare(yolo, train="images/trian", val="images/val")
    with pytest.raises(DataError, match=r"`train: images/trian` .* Did you mean 'images/train'"):
        YoloReader().read(yolo, "train")


def test_a_misspelt_name_of_a_split_is_an_error(yolo):
    declare(yolo, train="images/train", vall="images/vall")
    assert "vall" in YoloReader().splits(yolo)
    with pytest.raises(DataError, match=r"`vall: images/vall`"):
        YoloReader().read(yolo, "vall")


def test_a_blank_test_entry_and_other_settings_are_no_splits(yolo):
    declare(yolo, train="images/train", val="images/val", test="", author="me", url="http://x/y")
    assert YoloReader().splits(yolo) == ["train", "val"]


def test_a_folder_gives_the_split_that_the_page_leaves_out(yolo):
    declare(yolo, train="images/train")
    assert YoloReader().splits(yolo) == ["train", "val"]
    assert stems(yolo, "val") == ["c"]


def test_a_folder_that_the_page_leaves_out_is_announced(yolo, caplog):
    declare(yolo, train="images/train")
    with caplog.at_level(logging.INFO, logger="detkit"):
        YoloReader().read(yolo, "val")
    assert "data.yaml' declares no val; reading it from images/val" in caplog.text


# pain 32
@pytest.mark.parametrize("folder", ["Val", "val2017", "Valid/Images", "../val_images"])
def test_folders_of_splits_are_known_in_any_spelling(yolo, folder):
    (yolo / "images" / folder).parent.mkdir(exist_ok=True)
    (yolo / "images/val").rename(yolo / "images" / folder)
    _, split = YoloReader().splits(yolo)
    assert stems(yolo, split) == ["c"]


def test_several_folders_of_one_split_are_read_together(yolo):
    (yolo / "images/train").rename(yolo / "images/train_1")
    shutil.copytree(yolo / "images/val", yolo / "images/train_2")
    assert stems(yolo, "train") == ["a", "b", "c"]


def test_a_folder_inside_another_entry_is_no_split(yolo):
    declare(yolo, train="images")
    assert YoloReader().splits(yolo) == ["train"]


# pain 32
def test_an_empty_validation_folder_is_an_error(yolo):
    (yolo / "images/val/c.jpg").unlink()
    with pytest.raises(DataError, match=r"the split 'val' of '.*' leads to no image"):
        YoloReader().read(yolo, "val")


def test_entries_in_another_case_are_matched(yolo):
    declare(yolo, train="Images/Train", val="images/VAL")
    assert stems(yolo, "train") == ["a", "b"]
    index = YoloReader().read(yolo, "val")
    assert "images/VAL -> images/val" in index.notes[0]


def test_the_folder_of_another_split_is_not_suggested(yolo):
    shutil.rmtree(yolo / "images/val")
    declare(yolo, train="images/train", val="images/val")
    with pytest.raises(DataError, match=r"`val: images/val` names .* list of images\. Correct the"):
        YoloReader().read(yolo, "val")


@pytest.mark.parametrize("base", ["/content/drive/My Drive/set", "C:\\data\\set", "../datasets/x"])
def test_entries_of_another_machine_are_matched_by_their_endings(yolo, base):
    declare(yolo, path=base, train=f"{base}/images/train", val="images/val")
    assert stems(yolo, "train") == ["a", "b"]
    assert stems(yolo, "val") == ["c"]


@pytest.fixture
def darknet(yolo):
    """The data set in Darknet's layout, images next to label files."""
    shutil.rmtree(yolo / "labels" / "val")
    (yolo / "data.yaml").unlink()
    (yolo / "images/train").rename(yolo / "obj_train_data")
    (yolo / "labels/train/a.txt").rename(yolo / "obj_train_data/a.txt")
    (yolo / "train.txt").write_text("data/obj_train_data/a.jpg\n")
    (yolo / "valid.txt").write_text("data/obj_train_data/b.jpg\n")
    (yolo / "obj.names").write_text("dog\ncat\n")
    return yolo


# pain 32
def test_a_page_in_a_sub_folder_is_named(darknet):
    (darknet / "data").mkdir()
    entries = "train = data/train.txt\nvalid = data/valid.txt\nnames = data/obj.names\n"
    (darknet / "data" / "obj.data").write_text(entries)
    for name in ("train.txt", "valid.txt", "obj.names", "obj_train_data"):
        (darknet / name).rename(darknet / "data" / name)
    assert not fits(darknet)
    with pytest.raises(DataError, match=r"set data.path to '.*/data'"):
        YoloReader().splits(darknet)


# pain 32
def test_the_list_of_darknets_own_example_is_the_validation_split(darknet):
    (darknet / "obj.data").write_text("train = data/train.txt\nvalid = data/test.txt\n")
    (darknet / "valid.txt").rename(darknet / "test.txt")
    (darknet / "obj_train_data/b.txt").touch()
    assert YoloReader().splits(darknet) == ["train", "valid"]
    assert stems(darknet, "valid") == ["b"]


# pain 32
def test_a_list_of_images_that_do_not_exist_is_an_error(darknet):
    (darknet / "obj.data").write_text("train = train.txt\nvalid = valid.txt\nnames = obj.names")
    (darknet / "valid.txt").write_text("x.jpg\ny.jpg\n")
    with pytest.raises(DataError, match=r"`valid = valid.txt` lists 2 images, and none of them ex"):
        YoloReader().read(darknet, "valid")


# pain 32
def test_lists_without_suffixes_are_the_splits(yolo):
    (yolo / "train.txt").write_text("a\n")
    (yolo / "val.txt").write_text("b\nc\n")
    assert stems(yolo, "train") == ["a"]
    assert stems(yolo, "val") == ["b", "c"]


def test_a_text_of_something_else_is_no_list(yolo):
    (yolo / "train.txt").write_text("epoch loss\n")
    assert stems(yolo, "train") == ["a", "b"]


# pain 32
@pytest.mark.parametrize("page", ["obj.data", "my.data", None])
def test_the_lists_of_darknet_are_the_splits(darknet, page):
    if page is not None:
        entries = "train = data/train.txt\nvalid = data/valid.txt\nnames = data/obj.names\n"
        (darknet / page).write_text(f"classes = 2\n{entries}backup = backup/\n")
    assert YoloReader().splits(darknet) == ["train", "valid"]
    index = YoloReader().read(darknet, "train")
    assert (stems(darknet, "train"), index.labels.tolist()) == (["a"], [1])
    assert any("matched by their endings" in note for note in index.notes)
