"""Lists of images with paths from another machine."""

import pytest

from detkit.data.readers.image_lists import ImageTable, listed_images
from detkit.errors import DataError


@pytest.fixture
def listed(tmp_path):
    """Make images, write a list, and give what it lists, relative to the folder."""

    def read(images, *lines):
        for name in images:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        (tmp_path / "train.txt").write_text("\n".join(lines))
        result = listed_images(tmp_path / "train.txt", [tmp_path], ImageTable(tmp_path))
        return [image.relative_to(tmp_path).as_posix() for image in result.images], result.notes

    return read


@pytest.mark.parametrize("line", [
    "/content/set/images/train/a.jpg", "C:\\set\\images\\train\\a.jpg", "images/train/A.JPG",
    "data/images/train/a.jpg", "images/train/a",
])  # fmt: skip
def test_a_path_of_another_machine_is_matched_by_its_ending(listed, line):
    images, notes = listed(["images/train/a.jpg", "images/val/a.jpg"], line)
    assert images == ["images/train/a.jpg"]
    assert notes[0].detail == f"1 of 1, such as {line} -> images/train/a.jpg"


@pytest.mark.parametrize("line", ["images/train/a.jpg", "./images/train/a.jpg"])
def test_a_path_that_exists_needs_no_note(listed, line):
    assert listed(["images/train/a.jpg"], line) == (["images/train/a.jpg"], [])


def test_an_absolute_path_to_an_image_of_the_folder_is_that_image(listed, tmp_path):
    assert listed(["a.jpg"], str(tmp_path / "a.jpg")) == (["a.jpg"], [])


def test_an_ending_that_fits_two_images_is_an_error(listed):
    with pytest.raises(DataError, match=r"line 2: 'c/a\.jpg' does not exist, but could mean 'x/a"):
        listed(["x/a.jpg", "y/a.jpg"], "x/a.jpg", "c/a.jpg")


# pain 32
def test_an_image_of_another_split_does_not_match(listed):
    images, notes = listed(["images/train/a.jpg"], "images/val/a.jpg")
    assert (images, notes) == (["images/val/a.jpg"], [])  # named as missing by the reader


def test_the_only_name_is_enough(listed):
    assert listed(["obj_train_data/a.jpg"], "data/a.jpg")[0] == ["obj_train_data/a.jpg"]


def test_no_image_of_a_hidden_folder_is_matched(listed):
    assert listed([".ipynb_checkpoints/a.jpg"], "x/a.jpg") == (["x/a.jpg"], [])
