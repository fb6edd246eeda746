"""COCO files under any name, recognised by content."""

import json

import pytest

from detkit.data.readers.annotation_kinds import has_coco_lists
from detkit.data.readers.coco_files import find_annotations
from detkit.data.readers.coco_reader import CocoReader
from detkit.errors import DataError


@pytest.mark.parametrize(("files", "splits"), [
    (["result.json"], [""]),  # Label Studio
    (["labels.json"], [""]),  # FiftyOne
    (["annotations/instances_default.json"], [""]),  # CVAT
    (["labels_my-project_2024-01-31-10-11-12.json"], [""]),  # makesense.ai
    (["train_annotations.json", "val_annotations.json"], ["train", "val"]),
    (["train/annotations.json", "valid/annotations.json"], ["train", "valid"]),
    (["Train/labels.json", "Test/labels.json"], ["test", "train"]),
    (["annotations/train/instances.json", "annotations/val/instances.json"], ["train", "val"]),
    (["export/coco_trainset.json", "export/coco_testset.json"], ["test", "train"]),
    (["annotations/instances_train2017.json", "annotations/person_keypoints_train2017.json"],
     ["train"]),
    (["annotations/person_keypoints_val2017.json"], ["val"]),
    (["annotations/instances_train.json", "train_extra.json"], ["train"]),
    (["annotations/instances_train.json", "old/annotations/instances_train.json"], ["train"]),
    (["part_a.json", "part_b.json"], ["part_a", "part_b"]),
    (["a/result.json", "b/result.json"], ["a/result", "b/result"]),
])  # fmt: skip
def test_the_split_of_a_file_is_in_its_name_or_folder(tmp_path, coco_files, files, splits):
    for name in files:
        coco_files(tmp_path / name, [], [])
    assert sorted(find_annotations(tmp_path)) == splits


@pytest.mark.parametrize("text", [
    "[]",
    '{"images": [], "annotations": []}',
    '{"version": "5.0", "shapes": [], "imagePath": "a.jpg"}',
    '{"images": [], "annotations": [{"id": 1, "score": 0.5}], "categories": []}',
    '[{"images": [], "annotations": [], "categories": []}]',
    "",
])  # fmt: skip
def test_other_json_is_no_coco_file(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    assert not has_coco_lists(tmp_path / "a.json")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_lists_are_recognised_anywhere_in_a_large_file(tmp_path, monkeypatch, encoding):
    monkeypatch.setattr("detkit.data.readers.annotation_kinds._PART", 1000)
    blank = " " * 5000
    page = f'{{"info": {{}}, "images": [{blank}], "annotations": [{blank}],{blank}"categories" : []'
    (tmp_path / "a.json").write_text(page + f", {blank[:4500]}1]}}", encoding=encoding)
    assert has_coco_lists(tmp_path / "a.json")


def test_a_folder_of_many_json_files_is_sampled(tmp_path, coco_files, monkeypatch):
    for number in range(300):
        (tmp_path / f"{number}.json").write_text("{}")
    coco_files(tmp_path / "my_train.json", [], [])
    checked = []
    monkeypatch.setattr(
        "detkit.data.readers.coco_files.has_coco_lists",
        lambda file: checked.append(file) or has_coco_lists(file),
    )
    assert list(find_annotations(tmp_path)) == ["train"]
    assert len(checked) < 70


def test_hidden_json_is_not_read(tmp_path, coco_files):
    coco_files(tmp_path / ".ipynb_checkpoints" / "train.json", [], [])
    coco_files(tmp_path / "train.json", [], [])
    assert find_annotations(tmp_path) == {"train": tmp_path / "train.json"}


def test_spaces_around_class_names_are_removed(tmp_path, coco_files, pictures):
    pictures(tmp_path / "a.jpg")
    categories = [{"id": 1, "name": " cat\n"}, {"id": 2, "name": "dog"}]
    coco_files(tmp_path / "x.json", ["a.jpg"], [], categories=categories)
    assert CocoReader().read(tmp_path, None).class_names == ["cat", "dog"]


def test_ids_may_be_text(tmp_path, pictures):
    for name in ("a", "b"):
        pictures(tmp_path / f"{name}.jpg")
    page = {
        "images": [{"id": f"{name}.jpg", "file_name": f"{name}.jpg"} for name in "ab"],
        "annotations": [
            {"id": "x-1", "image_id": "b.jpg", "category_id": "dog", "bbox": [1, 2, 3, 4]},
            {"id": "x-2", "image_id": "c.jpg", "category_id": "dog", "bbox": [1, 2, 3, 4]},
        ],
        "categories": [{"id": "cat", "name": "cat"}, {"id": "dog", "name": "dog"}],
    }
    page = {key: page[key] for key in ("annotations", "categories", "images")}
    (tmp_path / "result.json").write_text(json.dumps(page))
    index = CocoReader().read(tmp_path, None)
    assert (index.image_ids.tolist(), index.object_offsets.tolist()) == ([1, 2], [0, 0, 1])
    assert (index.class_names, index.category_ids) == (["cat", "dog"], [1, 2])
    assert index.labels.tolist() == [1]
    assert index.dropped == ["1 box (of an image that is not listed): image id c.jpg"]


def test_empty_values_are_not_counted(coco, coco_files):
    entry = {"image_id": 1, "category_id": 3, "bbox": [1, 2, 3, 4], "segmentation": []}
    entries = [{**entry, "id": number, "area": 4} for number in range(3)]
    coco_files(coco / "annotations/instances_val2017.json", ["c.jpg"], entries)
    assert CocoReader().read(coco, "val").unused == {}


def test_unread_files_are_named(tmp_path, coco_files, caplog):
    for name in ("all.json", "train.json", "old/train.json"):
        coco_files(tmp_path / name, [], [])
    coco_files(tmp_path / "annotations.json", [], [])
    with caplog.at_level("INFO", logger="detkit"):
        assert CocoReader().splits(tmp_path) == ["all", "train"]
    assert (
        "reading all.json, train.json as the files of the splits by name, not annotations.json, "
        "old/train.json (to choose" in caplog.messages[0]
    )


# pain 61
def test_folders_of_images_are_the_splits_of_one_file(tmp_path, coco_files, pictures, caplog):
    names = ["train/a.jpg", "train/b.jpg", "val/a.jpg"]
    for name in names:
        pictures(tmp_path / name)
    box = {"category_id": 3, "bbox": [1, 1, 4, 4]}
    coco_files(tmp_path / "all.json", names, [{"image_id": n, **box} for n in (1, 3, 3)])
    reader = CocoReader()
    with caplog.at_level("INFO", logger="detkit"):
        assert reader.splits(tmp_path) == ["train", "val"]
    assert caplog.messages == [
        "all.json lists all images; the splits are their folders: train, val"
    ]
    counts = [(len(i), len(i.boxes)) for i in (reader.read(tmp_path, s) for s in ("train", "val"))]
    assert counts == [(2, 1), (1, 2)]
    assert reader.read(tmp_path, "val").dropped == []
    assert len(reader.read(tmp_path, None)) == 3


def test_a_folder_of_a_split_that_the_file_does_not_list_is_an_error(
    tmp_path, coco_files, pictures
):
    pictures(tmp_path / "train/a.jpg")
    pictures(tmp_path / "val/b.jpg")
    coco_files(tmp_path / "all.json", ["train/a.jpg"], [])
    with pytest.raises(DataError, match=r"all\.json' lists no image of the split 'val': add"):
        CocoReader().read(tmp_path, "val")


@pytest.mark.parametrize("folders", [("train", "test"), ("train", "val", "more"), ("a", "b")])
def test_other_folders_of_images_are_no_splits(tmp_path, coco_files, pictures, folders):
    for folder in folders:
        pictures(tmp_path / folder / "a.jpg")
    coco_files(tmp_path / "all.json", [f"{folder}/a.jpg" for folder in folders], [])
    assert CocoReader().splits(tmp_path) == []


# pain 61
def test_a_copy_of_the_file_of_all_images_is_skipped_and_named(tmp_path, coco_files, caplog):
    for name in ("annotations.json", "annotations_old.json"):
        coco_files(tmp_path / name, ["a.jpg"], [])
    with caplog.at_level("INFO", logger="detkit"):
        assert CocoReader().splits(tmp_path) == []
    assert (
        "reading annotations.json as the file of all images by name, not annotations_old.json"
        in caplog.text
    )
