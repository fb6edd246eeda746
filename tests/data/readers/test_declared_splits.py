"""A declared split of COCO or VOC is read or an error, never a random fraction."""

import shutil

import pytest

from detkit.data.readers.coco_reader import CocoReader
from detkit.data.readers.voc_reader import VocReader
from detkit.errors import DataError


# pain 32
def test_an_empty_list_of_voc_is_an_error(voc):
    (voc / "ImageSets/Main/val.txt").write_text("\n")
    assert VocReader().splits(voc) == ["train", "val"]
    with pytest.raises(DataError, match=r"the split 'val' of '.*' is empty"):
        VocReader().read(voc, "val")


# pain 32
def test_images_to_validate_on_without_xml_files_are_an_error(voc):
    shutil.rmtree(voc / "ImageSets")
    for folder in ("JPEGImages", "Annotations"):
        (voc / folder).rename(voc / f"x_{folder}")
    (voc / "train").mkdir()
    for file in (*voc.glob("x_*/a.*"), *voc.glob("x_*/b.*")):
        file.rename(voc / "train" / file.name)
    (voc / "valid").mkdir()
    (voc / "x_JPEGImages/c.jpg").rename(voc / "valid/c.jpg")
    shutil.rmtree(voc / "x_Annotations")
    assert VocReader().splits(voc) == ["train", "valid"]
    with pytest.raises(DataError, match=r"the split 'valid' of '.*' is empty"):
        VocReader().read(voc, "valid")


# pain 32
def test_a_coco_file_without_images_is_an_error(coco, coco_files):
    coco_files(coco / "annotations/instances_val2017.json", [], [])
    with pytest.raises(DataError, match=r"instances_val2017\.json' lists no images"):
        CocoReader().read(coco, "val")
