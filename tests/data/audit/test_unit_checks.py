"""Boxes in other units, or other numbers, than their format has."""

from __future__ import annotations

import pytest

from detkit.data.box_units import CENTRES, CORNERS, NORMALISED, SHARES_OF_CORNERS, find_misreading
from detkit.data.index_checks import check_index
from detkit.data.readers.coco_reader import CocoReader
from detkit.data.readers.yolo_reader import YoloReader
from detkit.errors import DataError

WIDTH, HEIGHT = 64, 48
WRITTEN = {
    NORMALISED: lambda x, y, w, h: (x / WIDTH, y / HEIGHT, w / WIDTH, h / HEIGHT),
    CORNERS: lambda x, y, w, h: (x, y, x + w, y + h),
    CENTRES: lambda x, y, w, h: (x + w / 2, y + h / 2, w, h),
}


def rewrite(maker, change, boxes=((40, 4, 20, 16), (30, 10, 24, 38))):
    for page in maker.pages.values():
        for number, annotation in enumerate(page["annotations"]):
            annotation["bbox"] = change(*boxes[number % len(boxes)])
    return maker


# pain 35
@pytest.mark.parametrize("cause", WRITTEN)
def test_boxes_in_other_numbers_are_an_error_that_names_the_cause(maker, cause):
    found = rewrite(maker, WRITTEN[cause]).findings()
    assert found[cause].severity == "error"
    assert found[cause].counts["train"] >= 20
    assert not any("duplicate" in kind or "outside of their" in kind for kind in found)


# pain 35
@pytest.mark.parametrize("cause", WRITTEN)
def test_training_on_boxes_in_other_numbers_is_refused(maker, cause):
    index = CocoReader().read(rewrite(maker, WRITTEN[cause]).write(), "train")
    with pytest.raises(DataError, match=rf"has {cause}: \d+ of 40 boxes, such as \["):
        check_index(index)


@pytest.mark.parametrize(
    "boxes",
    [
        ((40, 4, 20, 16), (30, 10, 24, 38)),
        ((2, 3, 62, 46), (1, 1, 64, 48)),  # the whole image, a pixel over the edge
        ((0, 0, 64, 48), (40, 4, 30, 16)),  # half of them far over the edge
    ],
    ids=["ordinary", "whole image", "over the edge"],
)
def test_boxes_in_pixels_are_not_misread(maker, boxes):
    index = CocoReader().read(rewrite(maker, lambda *box: box, boxes).write(), "train")
    assert find_misreading(index) is None


def test_a_few_boxes_in_shares_are_a_warning_and_train(maker):
    for number in (1, 2, 3):
        maker.annotate("train", number, "cat", (0.1, 0.1, 0.5, 0.5))
    maker.pages["train"]["annotations"] += [
        {"id": 900 + i, "image_id": 1, "category_id": 1, "bbox": [i, 5, 6, 7]} for i in range(30)
    ]
    assert maker.findings()[NORMALISED].severity == "warning"
    check_index(CocoReader().read(maker.root, "train"))


def test_every_split_without_objects_is_an_error(maker):
    maker.pages["test"] = {**maker.pages["val"], "annotations": [], "images": []}
    (maker.root / "test").mkdir()
    maker.add("test", "t.png", 300, [])
    found = maker.findings()["no object in 'test'"]
    assert found.severity == "error"
    assert "splits=[train,val]" in found.advice


def percent(x, y, w, h):
    return (x / WIDTH * 20, y / HEIGHT * 20, w / WIDTH * 20, h / HEIGHT * 20)


@pytest.mark.parametrize(
    ("change", "is_warned"), [(percent, True), (lambda *box: box, False)], ids=["scaled", "right"]
)
def test_boxes_of_smaller_images_are_a_warning(maker, change, is_warned):
    kind = "all boxes in the top left part of the images"
    findings = rewrite(maker, change).findings()
    assert (kind in findings) is is_warned
    if is_warned:
        assert findings[kind].severity == "warning"
        assert findings[kind].counts == {"train": 1, "val": 1}


# pain 35
def test_corners_in_label_files_are_an_error_that_names_the_cause(yolo):
    lines = "0 .1 .2 .9 .95\n1 .3 .6 .8 .9\n0 .6 .5 .95 .9\n"
    (yolo / "labels/train/a.txt").write_text(lines)
    index = YoloReader().read(yolo, "train")
    assert find_misreading(index).cause == SHARES_OF_CORNERS
    with pytest.raises(DataError, match=r"3 of 3 boxes, such as one that is read as .* Write each"):
        check_index(index)


def test_ordinary_label_files_are_not_misread(yolo):
    (yolo / "labels/train/a.txt").write_text("0 .5 .5 .9 .9\n1 .05 .1 .3 .3\n0 .9 .9 .4 .4\n" * 2)
    assert find_misreading(YoloReader().read(yolo, "train")) is None
