import logging

import numpy as np
import pytest

from detkit.data.readers.voc_reader import VocReader
from detkit.errors import DataError


def boxes_of(index, position):
    return index.boxes[slice(*index.object_offsets[position : position + 2])].tolist()


# pain 25
def test_first_corner_loses_one_and_the_second_stays(voc):
    index = VocReader().read(voc, "train")
    assert boxes_of(index, 0) == [[0, 0, 20, 10], [4, 5, 40, 30]]


def test_difficult_objects_are_ignored_unless_asked_for(voc):
    assert VocReader().read(voc, "train").ignored.tolist() == [False, True]
    assert not VocReader(ignore_difficult=False).read(voc, "train").ignored.any()


def test_classes_are_the_same_in_every_split(voc):
    reader = VocReader()
    assert reader.read(voc, "val").class_names == ["cat", "dog"]
    assert reader.read(voc, "val").labels.tolist() == [1]
    assert reader.read(voc, "train").category_ids == [1, 2]


# pain 14
def test_images_without_objects_are_kept(voc):
    index = VocReader().read(voc, "train")
    assert len(index) == 2
    assert boxes_of(index, 1) == []


def test_lists_of_single_classes_are_no_splits(voc):
    assert VocReader().splits(voc) == ["train", "val"]


def test_all_images_are_read_without_a_split(voc):
    index = VocReader().read(voc, None)
    assert [index.path(i).name for i in range(3)] == ["a.jpg", "b.jpg", "c.jpg"]
    assert index.image_ids.tolist() == [1, 2, 3]
    assert index.sizes.tolist() == [[30, 40]] * 3
    assert np.isnan(index.areas).all()


def test_faulty_boxes_are_dropped_and_named(voc, voc_pages, caplog):
    objects = [
        ("cat", 0, 5, 5, 5, 5),
        ("cat", 0, 9, 9, 3, 20),
        ("cat", 0, "nan", 1, 5, 5),
        ("cat", 0, 60, 60, 70, 70),
        ("", 0, 1, 1, 5, 5),
        ("dog", 0, 35, 25, 99, 99),
    ]
    voc_pages(voc, "b", objects)
    with caplog.at_level(logging.WARNING, logger="detkit"):
        index = VocReader().read(voc, "train")
    assert boxes_of(index, 1) == [[34, 24, 40, 30]]  # clipped to the image
    reasons = "\n".join(index.dropped)
    for reason in ("no area", "inverted", "not finite", "outside the image", "without a name"):
        assert f"1 box ({reason}" in reasons
    assert all("JPEGImages/b.jpg (object " in line for line in index.dropped)
    assert len(caplog.records) == 1  # one warning with a line for each reason


def test_faulty_files_are_dropped_and_named(voc, voc_pages, pictures):
    (voc / "JPEGImages" / "b.jpg").unlink()
    (voc / "Annotations" / "c.xml").write_text("<annotation><object>")
    pictures(voc / "JPEGImages" / "d.jpg")
    voc_pages(voc, "d", [("cat", 0, 1, 1, 5, 5)], width=400)
    (voc / "JPEGImages" / "e.jpg").write_bytes(b"no image")
    voc_pages(voc, "e", [])
    index = VocReader().read(voc, None)
    assert [index.path(i).name for i in range(len(index))] == ["a.jpg"]
    assert index.pairing.annotations_without_image == ["Annotations/b.xml"]
    assert set(index.dropped) == {
        "1 annotation file (unreadable XML): Annotations/c.xml "
        "(no element found: line 1, column 20)",
        "1 image (size differs from the annotated one): JPEGImages/d.jpg "
        "(annotated 400 x 30, file 40 x 30)",
        "1 image (not an image): JPEGImages/e.jpg",
    }


def test_lists_that_name_missing_files_only_are_to_be_corrected(voc):
    (voc / "ImageSets/Main/val.txt").write_text("y\nz\n")
    with pytest.raises(DataError, match=r"2 annotation files \(missing\).*: correct these\."):
        VocReader().read(voc, "val")


def test_a_listed_image_without_xml_is_dropped(voc):
    (voc / "ImageSets" / "Main" / "train.txt").write_text("a\nz\n")
    assert VocReader().read(voc, "train").dropped == ["1 annotation file (missing): z.xml"]


def test_entities_in_xml_are_refused(voc):
    bomb = '<!DOCTYPE x [<!ENTITY a "b">]><annotation><filename>&a;</filename></annotation>'
    (voc / "Annotations" / "b.xml").write_text(bomb)
    assert "unreadable XML" in VocReader().read(voc, "train").dropped[0]


def test_unknown_split_names_the_known_ones(voc):
    with pytest.raises(DataError, match=r"no split 'vall'. Did you mean 'val'\?.*train, val"):
        VocReader().read(voc, "vall")


def test_a_folder_without_annotations_is_an_error(tmp_path, pictures):
    pictures(tmp_path / "JPEGImages" / "a.jpg")
    with pytest.raises(DataError, match="no annotations of Pascal VOC: no XML file"):
        VocReader().read(tmp_path, None)


def test_a_data_set_without_any_image_file_is_an_error(voc):
    for file in (voc / "JPEGImages").iterdir():
        file.unlink()
    with pytest.raises(DataError, match=r"holds 3 XML files but no images. Copy the images"):
        VocReader().read(voc, "train")


@pytest.mark.needs_bccd
def test_photographs_have_their_published_counts(bccd):
    reader = VocReader()
    assert reader.splits(bccd) == ["test", "train", "trainval", "val"]
    counts = [len(reader.read(bccd, split)) for split in ("train", "val", "test")]
    assert counts == [205, 87, 72]
    index = reader.read(bccd, None)
    assert index.class_names == ["Platelets", "RBC", "WBC"]
    assert np.bincount(index.labels).tolist() == [361, 4155 - 2, 372]  # two RBC have no area
    assert index.dropped == [
        "2 boxes (no area): JPEGImages/BloodImage_00338.jpg (object 13), "
        "JPEGImages/BloodImage_00343.jpg (object 4)"
    ]
