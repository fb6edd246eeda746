"""The images that `detkit evaluate split=...` measures."""

import pytest
from test_detection_data import data_of

from detkit.data.evaluation_split import measured_split
from detkit.errors import DataError


def sizes(data, *words):
    """Name and number of images for each word."""
    return [(split.name, len(split.index)) for split in (measured_split(data, w) for w in words)]


@pytest.fixture
def three(yolo, pictures):
    """Two training images, one to validate on, three to test on."""
    for number in range(3):
        pictures(yolo / "images" / "test" / f"{number}.jpg", seed=9 + number)
    (yolo / "labels" / "test").mkdir()
    (yolo / "labels" / "test" / "0.txt").write_text("1 .5 .5 1 1\n")
    return yolo


def test_a_split_is_named_in_any_word_for_it(three):
    words = ("validation", "val", "valid", "VAL", "train", "training", "test")
    names = [("val", 1)] * 4 + [("train", 2)] * 2 + [("test", 3)]
    assert sizes(data_of(three), *words) == names


def test_the_split_of_that_name_goes_before_the_configured_one(three):
    data = data_of(three, validation_split="test")
    assert sizes(data, "validation", "test", "val") == [("test", 3), ("test", 3), ("val", 1)]


def test_an_unknown_split_names_the_known_ones(three):
    with pytest.raises(DataError, match=r"split=tset: .* it has test, train, val\. Did you mean"):
        measured_split(data_of(three), "tset")


@pytest.mark.parametrize("word", ["validation", "val", "valid"])
def test_without_a_validation_split_it_is_the_images_held_back(three, word):
    data = data_of(three, validation_split=None, validation_fraction=0.5)
    if word == "validation":
        assert sizes(data, word, "train") == [("images held back from training", 1), ("train", 1)]
    else:
        assert sizes(data, word) == [("val", 1)]


def test_labels_follow_the_names_of_a_checkpoint(three):
    data = data_of(three).with_classes(["cat", "bird", "dog"])
    assert measured_split(data, "test").index.labels.tolist() == [0]


def test_a_data_set_with_nothing_but_a_test_split(three):
    for name in ("train", "val"):
        (three / "images" / name).rename(three / f"unused_{name}")
    assert sizes(data_of(three), "test") == [("test", 3)]


def test_all_is_for_a_data_set_without_splits(three):
    with pytest.raises(DataError, match=r"split=all: .* measure one of them, such as split=val"):
        measured_split(data_of(three), "all")


def test_a_split_is_described_by_its_name_and_size(three):
    assert measured_split(data_of(three), "test").describe() == "split: test (3 images, 1 object)"
