"""Results: arrays, conversions and pictures."""

import json
import pickle
import sys
from dataclasses import FrozenInstanceError, replace
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from pycocotools import mask

from detkit.api.results import Result, result_of
from detkit.errors import UserError
from detkit.structures import DetectionArrays, DetectionMasks, ImageRecord

BOXES = [[10.0, 20.0, 40.0, 60.0], [5.0, 6.0, 9.0, 16.0], [50.0, 0.0, 80.0, 30.0]]


def make(path: Path | None = Path("photos/a.jpg"), masks: DetectionMasks | None = None) -> Result:
    scores, labels = np.array([0.9, 0.5, 0.25], np.float32), np.array([1, 0, 1])
    return result_of(
        DetectionArrays(np.array(BOXES, np.float32), scores, labels).with_masks(masks),
        ["cat", "dog"],
        [7, 9],
        size=(480, 640),
        path=path,
        decode=partial(np.zeros, (480, 640, 3), np.uint8),
    )


def make_with_masks() -> Result:
    """Masks that fill the lower halves of their boxes."""
    maps = (torch.arange(28) >= 14)[None, :, None].expand(3, 28, 28).float()
    return make(masks=DetectionMasks(maps, torch.tensor(BOXES), (480, 640)))


def test_values_are_numpy_arrays_of_fixed_types():
    result = make()
    assert (result.boxes.dtype, result.boxes.shape) == (np.float32, (3, 4))
    assert (result.scores.dtype, result.labels.dtype) == (np.float32, np.int64)
    assert result.names == ("dog", "cat", "dog")
    assert len(result) == 3


def test_no_detections_have_the_same_types_and_are_false():
    none = make().boxes[:0], make().scores[:0], make().labels[:0]
    result = result_of(
        DetectionArrays(*none), ["cat"], [1], size=(4, 5), path=None, decode=lambda: np.zeros(0)
    )
    assert not result
    assert (result.boxes.shape, result.boxes.dtype) == ((0, 4), np.float32)
    assert (result.names, result.to_coco()) == ((), [])
    assert repr(result) == "Result(0 detections; 5x4 image)"


def test_attributes_cannot_be_replaced():
    with pytest.raises(FrozenInstanceError):
        make().scores = np.zeros(3)


def test_a_representation_fits_in_a_line():
    assert repr(make()) == "Result(3 detections: 2 dog, 1 cat; photos/a.jpg, 640x480)"


def test_coco_rows_have_category_ids_and_width_and_height():
    rows = make().to_coco(image_id=12)
    assert rows[1] == {
        "image_id": 12,
        "file_name": "photos/a.jpg",
        "category_id": 7,
        "bbox": [5.0, 6.0, 4.0, 10.0],
        "score": 0.5,
    }
    assert "file_name" not in make(None).to_coco()[0]


def test_draw_decodes_the_image_again():
    picture = make().draw()
    assert picture.width == 640
    assert np.array(picture).any()


def test_results_can_be_sent_to_other_processes():
    copy = pickle.loads(pickle.dumps(make()))
    np.testing.assert_array_equal(copy.boxes, make().boxes)
    assert copy.draw().size == make().draw().size


def test_masks_are_pasted_into_the_image():
    masks = make_with_masks().masks
    assert (masks.dtype, masks.shape) == (np.bool_, (3, 480, 640))
    rows, columns = np.nonzero(masks[0])
    assert (columns.min(), columns.max() + 1) == pytest.approx((10, 40), abs=1)
    assert (rows.min(), rows.max() + 1) == pytest.approx((40, 60), abs=1)


def test_runs_and_polygons_hold_the_pixels_of_the_masks():
    result = make_with_masks()
    masks = result.masks
    for position, (runs, polygons) in enumerate(zip(result.rle(), result.polygons(), strict=True)):
        assert np.array_equal(mask.decode(runs), masks[position])
        (polygon,) = polygons
        low, high = polygon.min(axis=0), polygon.max(axis=0)
        rows, columns = np.nonzero(masks[position])
        assert low == pytest.approx([columns.min() + 0.25, rows.min() + 0.25])
        assert high == pytest.approx([columns.max() + 0.75, rows.max() + 0.75])


def test_coco_rows_have_segmentations():
    result = make_with_masks()
    assert [row["segmentation"] for row in result.to_coco()] == result.rle()
    rows = result.to_coco(mask_format="polygons")
    ((first,), *_) = (row["segmentation"] for row in rows)
    assert first == result.polygons()[0][0].ravel().tolist()


def test_results_with_masks_are_drawn_and_sent_to_other_processes():
    result = make_with_masks()
    copy = pickle.loads(pickle.dumps(result))
    assert copy.rle() == result.rle()
    pixels = np.asarray(copy.draw())
    assert pixels[55, 25].any()  # in the lower half of the first box
    assert not pixels[30, 25].any()  # in its upper half


def test_without_a_mask_head_there_are_no_masks():
    result = make()
    assert result.masks is None
    assert "segmentation" not in result.to_coco()[0]
    for method in (result.rle, result.polygons):
        with pytest.raises(UserError, match=r"no mask head.*model=mask_rcnn"):
            method()


def test_supervision_gets_arrays_and_class_names(monkeypatch):
    package = ModuleType("supervision")
    package.Detections = lambda **values: values
    monkeypatch.setitem(sys.modules, "supervision", package)
    values = make().to_supervision()
    assert values["xyxy"].tolist() == BOXES
    assert values["confidence"].tolist() == [pytest.approx(score) for score in (0.9, 0.5, 0.25)]
    assert values["class_id"].tolist() == [1, 0, 1]
    assert values["data"]["class_name"].tolist() == ["dog", "cat", "dog"]
    assert values["mask"] is None
    assert make_with_masks().to_supervision()["mask"].shape == (3, 480, 640)


def test_supervision_itself_takes_a_result():
    supervision = pytest.importorskip("supervision", reason="pip install supervision")
    detections = make().to_supervision()
    assert isinstance(detections, supervision.Detections)
    assert list(detections.data["class_name"]) == ["dog", "cat", "dog"]


def test_without_supervision_the_error_names_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(UserError, match="pip install supervision"):
        make().to_supervision()


def test_crops_are_the_pixels_of_the_boxes():
    pixels = np.arange(480 * 640 * 3, dtype=np.uint32).reshape(480, 640, 3).astype(np.uint8)
    result = replace(make(), _decode=lambda: pixels)
    crops = result.crops()
    assert [crop.size for crop in crops] == [(30, 40), (4, 10), (30, 30)]
    assert np.array_equal(np.asarray(crops[0]), pixels[20:60, 10:40])


@pytest.mark.parametrize(
    ("box", "size"),
    [([0.2, 0.9, 1.1, 1.2], (2, 2)), ([640, 480, 640, 480], (1, 1)), ([3, 4, 3, 4], (1, 1))],
)
def test_a_crop_has_whole_pixels_and_at_least_one(box, size):
    result = replace(make(), boxes=np.array([box], np.float32))
    assert result.crops()[0].size == size


def test_some_detections_can_be_selected():
    result = replace(make_with_masks(), tracks=np.array([4, 5, 6]))
    chosen = result.select(result.labels == 1)
    assert (chosen.names, chosen.tracks.tolist()) == (("dog", "dog"), [4, 6])
    assert chosen.rle() == [result.rle()[0], result.rle()[2]]
    assert chosen.to_coco(3) == [result.to_coco(3)[0], result.to_coco(3)[2]]


@pytest.mark.parametrize("mask_format", ["rle", "polygons"])
def test_a_record_survives_the_journal(mask_format):
    result = replace(make_with_masks(), tracks=np.array([4, 5, 6]))
    record = result.to_record(1, "a", "photos/a.jpg", mask_format=mask_format)
    assert ImageRecord.of_json(json.loads(json.dumps(record.to_json()))) == record
    rows = result.to_coco(mask_format=mask_format)
    assert record.segmentations == [row["segmentation"] for row in rows]
