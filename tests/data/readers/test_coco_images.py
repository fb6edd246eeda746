"""File names in COCO files that do not exist as written."""

import pytest

from detkit.data.readers.coco_reader import CocoReader
from detkit.errors import DataError


@pytest.mark.parametrize("case", [
    ("/home/other/project/images/a.jpg", "images/a.jpg", "by the end of the path"),
    ("C:\\photos\\a.jpg", "images/a.jpg", "with backslashes and by the end of the path"),
    ("images\\a.jpg", "images/a.jpg", "with backslashes"),
    ("my%20cat%20%281%29.jpg", "images/my cat (1).jpg", "URL-encoded and in a sub-folder"),
    ("A.JPG", "images/a.jpg", "in a sub-folder and in other case"),
    ("a.png", "images/a.jpg", "in a sub-folder and with another suffix"),
    ("a", "images/a.jpg", "in a sub-folder and with another suffix"),
    ("a.jpg", "photos/2024/a.jpg", "in a sub-folder"),
    ("s3://bucket/x/a.jpg?token=1", "images/a.jpg", "by the end of the path"),
    ("/data/local-files/?d=photos/a.jpg", "images/a.jpg", "by the end of the path"),
    ("images/1a2b3c4d-a.jpg", "images/a.jpg", "without the Label Studio prefix"),
    ("cafe\u0301.jpg", "images/caf\u00e9.jpg", "in a sub-folder and in another Unicode form"),
    ("A.png", "images/a.jpg", "in a sub-folder and with another suffix and in other case"),
])  # fmt: skip
def test_a_name_matches_by_its_end(tmp_path, coco_files, pictures, caplog, case):
    named, file, ways = case
    pictures(tmp_path / file)
    coco_files(tmp_path / "result.json", [named], [])
    with caplog.at_level("INFO", logger="detkit"):
        index = CocoReader().read(tmp_path, None)
    assert index.path(0) == tmp_path / file
    assert caplog.messages == [
        f"result.json: matched 1 of 1 image name: 1 {ways} ('{named}' is '{file}')"
    ]


def test_two_uploads_of_one_name_are_an_error(tmp_path, coco_files, pictures):
    pictures(tmp_path / "images" / "a.jpg")
    coco_files(tmp_path / "result.json", ["images/1a2b3c4d-a.jpg", "images/5e6f7a8b-a.jpg"], [])
    with pytest.raises(DataError, match=r"but both match only 'images/a.jpg'"):
        CocoReader().read(tmp_path, None)


def test_a_name_that_exists_is_not_worth_a_line(tmp_path, coco_files, pictures, caplog):
    pictures(tmp_path / "images" / "a.jpg")
    coco_files(tmp_path / "result.json", ["a.jpg"], [])
    with caplog.at_level("INFO", logger="detkit"):
        CocoReader().read(tmp_path, None)
    assert caplog.messages == []


def test_the_longest_common_ending_decides(tmp_path, coco_files, pictures):
    for name in ("left/1/a.jpg", "right/1/a.jpg", "right/2/a.jpg"):
        pictures(tmp_path / "images" / name)
    coco_files(tmp_path / "result.json", ["/x/right/1/a.jpg", "/x/right/2/a.jpg"], [])
    index = CocoReader().read(tmp_path, None)
    names = [index.path(n).relative_to(tmp_path / "images").as_posix() for n in range(2)]
    assert names == ["right/1/a.jpg", "right/2/a.jpg"]


def test_a_name_that_fits_two_files_is_an_error(tmp_path, coco_files, pictures):
    for folder in ("p", "q"):
        pictures(tmp_path / folder / "a.jpg")
    coco_files(tmp_path / "result.json", ["/elsewhere/a.jpg"], [])
    with pytest.raises(
        DataError,
        match=r"1 file name could mean more than one image, such as "
        r"'/elsewhere/a.jpg': 'p/a.jpg' or 'q/a.jpg'. Set data.reader.images",
    ):
        CocoReader().read(tmp_path, None)  # fmt: skip


def test_two_names_for_one_file_are_an_error(tmp_path, coco_files, pictures):
    pictures(tmp_path / "images" / "a.jpg")
    coco_files(tmp_path / "result.json", ["x/a.jpg", "y/a.png"], [])
    with pytest.raises(
        DataError, match=r"'x/a.jpg' and 'y/a.png', but both match only 'images/a.jpg'"
    ):
        CocoReader().read(tmp_path, None)


# pain 26
def test_a_name_never_matches_an_image_of_another_split(tmp_path, coco_files, pictures):
    pictures(tmp_path / "images" / "val" / "a.jpg")
    pictures(tmp_path / "images" / "val" / "b.jpg")
    pictures(tmp_path / "images" / "train" / "b.jpg")
    coco_files(tmp_path / "train.json", ["/x/a.jpg", "/x/b.jpg"], [])
    coco_files(tmp_path / "valid.json", ["/x/b.jpg"], [])
    index = CocoReader().read(tmp_path, "train")
    assert index.path(0) == tmp_path / "images/train/b.jpg"
    assert index.dropped == ["1 image (missing file): /x/a.jpg"]
    assert CocoReader().read(tmp_path, "valid").path(0) == tmp_path / "images/val/b.jpg"


def test_an_exactly_named_image_matches_no_other_name(tmp_path, coco_files, pictures):
    pictures(tmp_path / "images" / "a.jpg")
    coco_files(tmp_path / "result.json", ["a.jpg", "a.png"], [])
    assert CocoReader().read(tmp_path, None).dropped == ["1 image (missing file): images/a.png"]


def test_images_in_the_folder_above_are_named(tmp_path, coco_files, pictures):
    pictures(tmp_path / "images" / "a.jpg")
    coco_files(tmp_path / "annotations" / "result.json", ["a.jpg"], [])
    with pytest.raises(DataError, match=rf"set data.path to '{tmp_path}'"):
        CocoReader().read(tmp_path / "annotations", None)


def test_images_outside_the_file_are_counted(tmp_path, coco_files, pictures):
    for name in "abcd":
        pictures(tmp_path / "images" / f"{name}.jpg")
    coco_files(tmp_path / "train.json", ["a.jpg", "x.jpg"], [])
    coco_files(tmp_path / "val.json", ["C:\\images\\b.jpg"], [])
    pairing = CocoReader().read(tmp_path, "train").pairing
    assert pairing.images_without_annotation == ["images/c.jpg", "images/d.jpg"]
    assert not pairing.images_train


def test_images_in_the_folder_of_another_split_are_not_counted(coco):
    assert CocoReader().read(coco, "train").pairing.images_without_annotation == []


def test_images_outside_of_the_data_folder_are_not_missed(tmp_path, coco_files, pictures):
    pictures(tmp_path / "photos" / "a.jpg")
    coco_files(tmp_path / "data" / "result.json", [str(tmp_path / "photos" / "a.jpg")], [])
    assert CocoReader().read(tmp_path / "data", None).pairing.images_without_annotation == []


def test_images_beside_the_folder_of_the_file_are_found(tmp_path, coco_files, pictures, caplog):
    pictures(tmp_path / "export" / "images" / "a.jpg")
    coco_files(tmp_path / "export" / "annotations" / "instances_default.json", ["a.jpg"], [])
    with caplog.at_level("INFO", logger="detkit"):
        assert len(CocoReader().read(tmp_path, None)) == 1
    assert caplog.messages == []
