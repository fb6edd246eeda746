"""Segmentations of COCO files, as masks of the objects."""

import json

import numpy as np
import pytest
import torch
from pycocotools import mask

from detkit.data.detection_data import DetectionData
from detkit.data.detection_dataset import DetectionDataset
from detkit.data.outline_decoding import decode_outlines
from detkit.data.readers.auto import AutoReader
from detkit.data.readers.coco_masks import parse_mask
from detkit.data.readers.coco_reader import CocoReader
from detkit.errors import DataError

SIZE = (30, 40)
SQUARE = [4, 5, 14, 5, 14, 15, 4, 15]
RUNS = {"counts": [65, 10, 20, 10, 1095], "size": [30, 40]}  # 2 columns of 10 pixels


def packed(runs=RUNS):
    return {**runs, "counts": mask.frPyObjects(runs, *SIZE)["counts"].decode()}


@pytest.fixture
def masked(coco):
    """The validation image with a polygon, plain and compressed runs, and without a mask."""
    boxes = ([4, 5, 10, 10], [2, 5, 2, 10], [2, 5, 2, 10], [1, 1, 4, 4])
    objects = [
        {"id": number, "image_id": 1, "category_id": 3, "bbox": box, "segmentation": segmentation}
        for number, (box, segmentation) in enumerate(
            zip(boxes, ([SQUARE], RUNS, packed(), []), strict=True), start=1
        )
    ]
    file = coco / "annotations/instances_val2017.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "annotations": objects}))
    return coco


def bitmaps(index):
    outlines = decode_outlines(index, range(len(index.labels)), SIZE)
    return [outlines.bitmap(position, SIZE) for position in range(len(outlines))]


def test_polygons_and_runs_are_the_pixels_of_pycocotools(masked):
    index = CocoReader(masks=True).read(masked, "val")
    assert index.outlines.has_outline.tolist() == [True, True, True, False]
    square, runs, compressed, nothing = bitmaps(index)
    assert np.array_equal(square, mask.decode(mask.frPyObjects([SQUARE], *SIZE))[..., 0])
    assert np.array_equal(runs, mask.decode(mask.frPyObjects(RUNS, *SIZE)))
    assert np.array_equal(runs, compressed)
    assert not nothing.any()
    assert "segmentation" not in index.unused


def test_masks_are_read_only_where_they_are_needed(masked):
    index = CocoReader().read(masked, "val")
    assert index.outlines is None
    assert index.unused["segmentation"] == 3


@pytest.mark.parametrize(("segmentation", "fault"), [
    ([[1, 2, 3, 4]], "polygon with fewer than 3 points"),
    ([SQUARE, [1, 2, 3, 4]], "polygon with fewer than 3 points"),
    ([[1, 2, 3]], "coordinates are not pairs of numbers"),
    ([[1, 2, 3, 4, 5, float("nan")]], "coordinates are not pairs of numbers"),
    ([["a", 2]], "neither polygons nor run-length encoding"),
    ({"size": [30, 40]}, "neither polygons nor run-length encoding"),
    ({**RUNS, "size": [40, 30]}, "size differs from that of the image"),
    ({**RUNS, "counts": [65, 10]}, "runs do not add up to the size of the image"),
    ({**packed(), "counts": packed()["counts"] + "5"}, "runs do not add up"),
])  # fmt: skip
def test_a_faulty_mask_has_a_reason_and_is_used_as_far_as_possible(segmentation, fault):
    outline, reason = parse_mask(segmentation, SIZE)
    assert reason.startswith(fault)
    assert len(outline.polygons) == (segmentation[:1] == [SQUARE] if outline.polygons else 0)
    assert not outline.runs


def test_samples_have_the_masks_of_the_part_inside_the_image(masked):
    index = CocoReader(masks=True).read(masked, "val")
    sample = DetectionDataset(index, transforms={}, seed=0).read(0)
    assert sample.target.outlines.has_mask.tolist() == [True, True, True, False]
    assert sample.original_target.outlines is None  # which only the metric needs
    measured = DetectionDataset(index, transforms={}, seed=0, is_measured=True).read(0)
    assert len(measured.original_target.outlines) == 4


def data_of(path):
    return DetectionData(
        path=str(path),
        reader=AutoReader(masks=True),
        train_transforms={},
        evaluation_transforms={},
        seed=0,
        sampling=None,
        masks=True,
        train_split="val",
        validation_split="val",
        workers=0,
        index_cache=None,
    )


def test_a_batch_has_masks_and_one_line_counts_those_that_miss(masked, caplog):
    with caplog.at_level("INFO", logger="detkit"):
        batch = next(iter(data_of(masked).train_loader()))
    assert "masks: 3 of 4 training objects have one" in caplog.text
    masks = batch.targets.masks
    assert masks.has_mask.tolist() == [[True, True, True, False]]
    assert masks.bitmaps(0).sum(dim=(1, 2)).tolist() == [100, 20, 20, 0]
    assert masks.bits.dtype == torch.uint8


def test_data_without_masks_are_refused(coco):
    with pytest.raises(
        DataError, match=r"none of the 1 training object in .* has a mask: train on"
    ):
        data_of(coco).train_loader()


@pytest.mark.parametrize("reader", [AutoReader, CocoReader])
def test_kept_indices_of_masks_and_boxes_differ(masked, reader):
    assert reader(masks=True).sources(masked).settings != reader().sources(masked).settings
