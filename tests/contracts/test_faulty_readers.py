"""Readers that break a promise are caught; a reader is tried on a folder of its format."""

import json
from dataclasses import replace

import numpy as np
import pytest
from faults import Faults, case_of, require_caught
from PIL import Image

from detkit import registry
from detkit.contracts import LeftOutError, cases
from detkit.structures import DatasetIndex

faults = Faults()
READ = "every split can be read"


@pytest.fixture
def coco_folder(tmp_path):
    """Two images of a split `train`, one of them with two objects."""
    (tmp_path / "annotations").mkdir()
    (tmp_path / "train").mkdir()
    for name in "ab":
        Image.new("RGB", (40, 30)).save(tmp_path / "train" / f"{name}.png")
    page = {
        "images": [
            {"id": number, "file_name": f"{name}.png", "width": 40, "height": 30}
            for number, name in enumerate("ab", start=1)
        ],
        "annotations": [
            {"id": n, "image_id": 1, "category_id": n, "bbox": [2, 3, 10, 5]} for n in (1, 2)
        ],
        "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }
    (tmp_path / "annotations" / "instances_train.json").write_text(json.dumps(page))
    return tmp_path


def fault(promise, says):
    """A COCO reader whose indices are changed."""

    def keep(change):
        def make(base):
            class Part(base):
                def read(self, path, split):
                    return change(super().read(path, split))

            return Part

        make.__name__ = change.__name__
        return faults.add("reader", "coco", promise, says)(make)

    return keep


@fault(READ, "labels is int32, expected an array of int64")
def labels_of_another_type(index: DatasetIndex):
    return replace(index, labels=index.labels.astype(np.int32))


@fault(READ, "labels 1 to 2, expected 0 to 1")
def labels_count_from_1(index: DatasetIndex):
    return replace(index, labels=index.labels + 1)


@fault(
    READ,
    "2 boxes are empty or outside of their image; the first is .* in 'a.png': use IndexBuilder",
)
def widths_for_corners(index: DatasetIndex):
    boxes = index.boxes.copy()
    boxes[:, 2:] -= boxes[:, :2] + 20
    return replace(index, boxes=boxes)


@fault(READ, "two images have the same id")
def ids_repeat(index: DatasetIndex):
    return replace(index, image_ids=np.ones_like(index.image_ids))


@fault(READ, "object_offsets must increase from 0 to 2 in 3 numbers")
def offsets_are_counts(index: DatasetIndex):
    return replace(index, object_offsets=np.array([0, 2], dtype=np.int64))


@fault("images can be decoded", "cannot be read")
def the_root_is_wrong(index: DatasetIndex):
    return replace(index, root=index.root / "nowhere")


@fault("images can be decoded", r"a.png has the size \(30, 40\), the index has \(40, 30\)")
def width_before_height(index: DatasetIndex):
    return replace(index, sizes=index.sizes[:, ::-1].copy(), boxes=index.boxes[:, [1, 0, 3, 2]])


@fault("reading is deterministic", "sort everything from the file system or a set")
def the_order_is_random(index: DatasetIndex):
    return replace(index, image_ids=np.random.default_rng().permutation(10**6)[: len(index)])


@faults.add("reader", "coco", "missing data raises a clear error", "raised FileNotFoundError")
def folders_are_taken_for_granted(base):
    class Part(base):
        def splits(self, path):
            return sorted(file.name for file in path.iterdir())

        def read(self, path, split):
            raise FileNotFoundError(path)

    return Part


@faults.parametrize()
def test_the_fault_of_a_reader_is_caught(fault, coco_folder):
    require_caught(fault._replace(values={"data": coco_folder}))


def test_without_data_only_wrong_folders_can_be_tried():
    outcomes = {}
    for case in cases("reader", "voc"):
        try:
            outcomes[str(case)] = case()
        except LeftOutError as reason:
            outcomes[str(case)] = str(reason)
    assert outcomes["missing data raises a clear error"] is None
    assert "data.path=FOLDER" in outcomes[READ]


def test_a_split_that_does_not_exist_has_to_be_refused(coco_folder):
    class Part(registry.get("reader", "coco")):
        def read(self, path, split):
            return super().read(path, "train")

    registry.register("reader", "faulty")(Part)
    with pytest.raises(Exception, match="'no_such_split' was read without an error, but"):
        case_of("reader", "faulty", READ, data=coco_folder)()
