"""Annotations without a bbox, but with an outline."""

import json

import pytest
from pycocotools import mask

from detkit.data.readers.coco_outlines import outline_box
from detkit.data.readers.coco_reader import CocoReader

RUNS = {"counts": [5, 3, 7, 2, 13], "size": [6, 5]}  # pixels 5..7 and 15..16, column by column


def test_a_polygon_has_the_box_around_its_corners():
    assert outline_box([[5, 16, 32, 16, 32.5, 44, 5, 40]]) == (5, 16, 27.5, 28)
    assert outline_box([[5, 5, 9, 9, 5, 9], [20, 2, 30, 2, 30, 8]]) == (5, 2, 25, 7)
    assert outline_box([5, 16, 32, 16, 32, 44]) == (5, 16, 27, 28)  # as VIA writes it


def test_a_mask_has_the_box_around_its_pixels():
    assert outline_box(RUNS) == (0, 0, 3, 6)
    packed = mask.frPyObjects(RUNS, 6, 5)
    assert outline_box({"counts": packed["counts"].decode(), "size": [6, 5]}) == (0, 0, 3, 6)


@pytest.mark.parametrize("segmentation", [
    None, [], [[]], {}, "x", 3, [[1]], [["a", 2, 3, 4]], [[1, float("nan")]], [[None, 1]],
    {"counts": [30], "size": [6, 5]}, {"counts": [1], "size": [0, 5]}, {"counts": "~", "size": [1]},
])  # fmt: skip
def test_an_invalid_outline_has_no_box(segmentation):
    assert outline_box(segmentation) is None


# pain 27
@pytest.mark.parametrize("bbox", ["missing", None, [], [0, 0, 0, 0]])
def test_a_missing_box_is_read_from_the_outline(coco, caplog, bbox):
    entry = {"image_id": 1, "category_id": 3, "bbox": bbox, "area": 4, "iscrowd": 0}
    if bbox == "missing":
        del entry["bbox"]
    given = {**entry, "bbox": [1, 2, 3, 4], "segmentation": [[9, 9, 20, 20, 9, 20]]}
    outlines = ([[2, 3, 12, 3, 12, 8]], RUNS, [])
    entries = [given, *({**entry, "segmentation": outline} for outline in outlines)]
    annotations = [{**entry, "id": number} for number, entry in enumerate(entries)]
    file = coco / "annotations/instances_val2017.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "annotations": annotations}))
    with caplog.at_level("INFO", logger="detkit"):
        index = CocoReader().read(coco, "val")
    assert index.boxes.tolist() == [[1, 2, 4, 6], [2, 3, 12, 8], [0, 0, 3, 6]]
    assert "2 annotations without a bbox; the box is the one around" in caplog.text
    assert len(index.dropped) == 1
