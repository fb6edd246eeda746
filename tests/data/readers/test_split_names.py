import pytest

from detkit.data.readers.path_endings import PathEndings
from detkit.data.readers.split_names import fits_split, split_of


@pytest.mark.parametrize(("name", "split"), [
    ("train_annotations", "train"), ("instancesTrain2017", "train"), ("TRAIN", "train"),
    ("trainset", "train"), ("val-images", "val"), ("my_test_2", "test"), ("trainval", "trainval"),
    ("train_and_val", None), ("trains", None), ("labels", None), ("evaluate", None), ("2017", None),
])  # fmt: skip
def test_the_split_that_a_name_states(name, split):
    assert split_of(name) == split


@pytest.mark.parametrize(("first", "second", "fits"), [
    ("val", "valid", True), ("trainval", "val", True), ("trainval", "train", True),
    ("train", "val", False), ("trainval", "test", False), ("test", None, True),
])  # fmt: skip
def test_splits_that_may_belong_together(first, second, fits):
    assert fits_split(first, second) is fits_split(second, first) is fits


# pain 26
def test_a_split_with_a_year_is_that_split():
    endings = PathEndings(["images/train2014/a.jpg", "images/val2014/a.jpg"])
    assert endings.match("/x/a.jpg", split="train2014").path == "images/train2014/a.jpg"


def test_a_name_that_states_another_split_is_in_the_folder_of_that_split():
    endings = PathEndings(["train2014/a.jpg", "val2014/a.jpg", "val2014/b.jpg"])
    assert endings.match("/x/val2014/a.jpg", split="train").path == "val2014/a.jpg"
    assert endings.match("/x/train/b.jpg").path is None
    assert endings.match("/home/train/x/y/b.jpg", split="val").path == "val2014/b.jpg"
