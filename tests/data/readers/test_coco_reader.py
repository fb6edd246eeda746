import json

import numpy as np
import pytest

from detkit.data.readers.coco_objects import Objects
from detkit.data.readers.coco_reader import CocoReader, find_annotations
from detkit.errors import DataError


def test_boxes_labels_areas_and_crowds(coco):
    index = CocoReader().read(coco, "train")
    assert index.boxes.tolist() == [[2, 3, 12, 8], [0, 0, 40, 30]]
    assert index.labels.tolist() == [1, 0]
    assert index.ignored.tolist() == [False, True]
    assert index.areas.tolist() == [41.5, 900]
    assert index.object_offsets.tolist() == [0, 2, 2]


# pain 12
def test_classes_are_sorted_by_id_and_keep_their_ids(coco):
    index = CocoReader().read(coco, "val")
    assert (index.class_names, index.category_ids) == (["dog", "cat"], [3, 7])


def test_missing_area_is_nan(coco):
    assert np.isnan(CocoReader().read(coco, "val").areas).all()


def test_years_are_no_part_of_the_split(coco):
    assert CocoReader().splits(coco) == ["train", "val"]


@pytest.mark.parametrize(
    ("files", "splits"),
    [
        (["train.json", "val.json"], ["train", "val"]),
        (["annotations/instances_train2014.json", "annotations/instances_train2017.json"],
         ["train2014", "train2017"]),
        (["train/_annotations.coco.json", "valid/_annotations.coco.json"], ["train", "valid"]),
        (["annotations.json"], [""]),
        (["annotations/captions_val2017.json", "annotations/mine.json"], [""]),
        (["annotations/mine.json", "annotations/theirs.json"], ["mine", "theirs"]),
    ],
)  # fmt: skip
def test_annotation_files_are_found_by_name(tmp_path, coco_files, files, splits):
    for name in files:
        coco_files(tmp_path / name, [], [])
    assert sorted(find_annotations(tmp_path)) == splits


@pytest.mark.parametrize("folder", ["train", "images/train", "images", "annotations", ""])
def test_image_folders_are_found(tmp_path, coco_files, pictures, folder):
    pictures(tmp_path / folder / "a.jpg")
    coco_files(tmp_path / "annotations" / "train.json", ["a.jpg"], [])
    assert CocoReader().read(tmp_path, "train").path(0) == tmp_path / folder / "a.jpg"


def test_files_and_folders_can_be_named(tmp_path, coco_files, pictures):
    pictures(tmp_path / "photos" / "first" / "a.jpg")
    coco_files(tmp_path / "boxes.json", ["a.jpg"], [])
    reader = CocoReader(annotations={"first": "boxes.json"}, images="photos/{split}")
    assert reader.splits(tmp_path) == ["first"]
    assert len(reader.read(tmp_path, "first")) == 1
    with pytest.raises(DataError, match=r"no annotation file .*nope.json.*data.reader.annotations"):
        CocoReader(annotations={"first": "nope.json"}).splits(tmp_path)


def test_a_single_file_is_no_split(tmp_path, coco_files, pictures):
    pictures(tmp_path / "images" / "a.jpg")
    coco_files(tmp_path / "annotations.json", ["a.jpg"], [])
    assert CocoReader().splits(tmp_path) == []
    assert len(CocoReader().read(tmp_path, None)) == 1


def test_faulty_annotations_are_dropped_and_named(coco, coco_files):
    objects = [
        {"image_id": 1, "category_id": 99, "bbox": [1, 1, 2, 2]},
        {"image_id": 1, "category_id": 3, "bbox": [1, 1, 0, 2]},
        {"image_id": 1, "category_id": 3, "bbox": [1, 1, -3, 2]},
        {"image_id": 2, "category_id": 3, "bbox": [1, 1]},
        {"image_id": 2, "category_id": 3},
        {"image_id": 5, "category_id": 3, "bbox": [1, 1, 2, 2]},
    ]
    coco_files(coco / "annotations/instances_train2017.json", ["a.jpg", "b.jpg", "z.jpg"], objects)
    index = CocoReader().read(coco, "train")
    assert len(index.boxes) == 0
    assert set(index.dropped) == {
        "1 box (of an unknown category): train2017/a.jpg",
        "1 box (no area): train2017/a.jpg",
        "1 box (inverted corners): train2017/a.jpg",
        "2 boxes (no four numbers): train2017/b.jpg",
        "1 box (of an image that is not listed): image id 5",
        "1 image (missing file): train2017/z.jpg",
    }


# pain 23
def test_rotated_photographs_have_their_upright_size(coco):
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6  # stored on its side: 30x40 is seen as 40x30
    Image.new("RGB", (30, 40)).save(coco / "val2017" / "c.jpg", exif=exif)
    index = CocoReader().read(coco, "val")
    assert index.sizes.tolist() == [[30, 40]]
    Image.new("RGB", (30, 40)).save(coco / "val2017" / "c.jpg")
    with pytest.raises(DataError, match="size differs from the annotated one"):
        CocoReader().read(coco, "val")


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("{", "cannot be read as COCO JSON"),
        ('{"images": []}', "no list annotations, categories"),
        ('{"images": [{"id": 1}], "annotations": [], "categories": []}', "lacks id or file_name"),
        ('{"images": [], "annotations": [], "categories": []}', "no categories"),
    ],
)
def test_broken_files_are_reported_with_their_fault(coco, page, message):
    (coco / "annotations/instances_val2017.json").write_text(page)
    with pytest.raises(DataError, match=message):
        CocoReader().read(coco, "val")


def test_two_categories_of_one_name_are_an_error(coco, coco_files):
    twice = [{"id": 1, "name": "cat"}, {"id": 2, "name": "cat"}]
    coco_files(coco / "annotations/instances_val2017.json", ["c.jpg"], [], categories=twice)
    with pytest.raises(DataError, match="names these classes twice: cat"):
        CocoReader().read(coco, "val")


def test_missing_images_are_an_error_that_lists_the_searched_folders(tmp_path, coco_files):
    coco_files(tmp_path / "annotations" / "train.json", ["a.jpg"], [])
    with pytest.raises(
        DataError, match=r"no image below '.*' matches 'a.jpg'\..*data.reader.images"
    ):
        CocoReader().read(tmp_path, "train")


def test_unknown_split_names_the_known_ones(coco):
    with pytest.raises(DataError, match=r"no split 'test'.*train, val"):
        CocoReader().read(coco, "test")


def test_images_with_nothing_to_tell_are_read_as_others_are(tmp_path, pictures, monkeypatch):
    pictures(tmp_path / "val" / "a.jpg", 64, 48)
    boxes = np.random.default_rng(0).uniform(-1, 40, (60, 4)).round(3).tolist()
    entry = {"image_id": 1, "category_id": 2, "iscrowd": 0, "area": 7.25}
    plain = [entry | {"id": n, "bbox": [abs(v) / 3 + 0.1 for v in b]} for n, b in enumerate(boxes)]
    cut = [entry | {"id": n, "bbox": box} for n, box in enumerate(boxes)]
    for annotations in (plain, cut):
        page = {"images": [{"id": 1, "file_name": "a.jpg", "width": 64, "height": 48}]}
        page |= {"annotations": annotations, "categories": [{"id": 2, "name": "x"}]}
        (tmp_path / "val.json").write_text(json.dumps(page))
        found = CocoReader().read(tmp_path, "val")
        with monkeypatch.context() as patch:
            patch.setattr(Objects, "add_of", Objects._add_one_by_one)
            expected = CocoReader().read(tmp_path, "val")
        assert (found.boxes.tolist(), found.areas.tolist()) == (
            expected.boxes.tolist(),
            expected.areas.tolist(),
        )
        assert found.faults == expected.faults
    assert len(expected.faults) > 10
