"""Convert images to the index that COCO's evaluation uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pycocotools import mask

from detkit.evaluation.image_masks import object_segmentations
from detkit.evaluation.image_results import ImageArrays, xywh

Index = TypeVar("Index")  # the class `COCO` of pycocotools or of faster-coco-eval
Row = dict[str, Any]


def objects_index(
    images: Mapping[int, ImageArrays],
    category_ids: list[int],
    factory: Callable[[], Index],
    *,
    masks: bool = False,
) -> Index:
    """The objects of images, by image id, as they are read from an annotation file.

    Args:
        images: By id.
        category_ids: The data set's id of each label.
        factory: Makes an empty index.
        masks: Whether masks are compared; objects without one are then ignored like a crowd.
    """
    rows: list[Row] = []
    for image_id, image in images.items():
        of_image = []
        columns = (image.object_labels.tolist(), xywh(image.object_boxes).tolist())
        for label, box, area, ignored in zip(
            *columns, image.areas.tolist(), image.ignored.tolist(), strict=True
        ):
            row = {"image_id": image_id, "category_id": category_ids[label], "bbox": box}
            of_image.append({**row, "area": area, "iscrowd": int(ignored)})
        rows += _with_object_masks(of_image, image) if masks else of_image
    return _index(images, category_ids, rows, factory)


def detections_index(
    images: Mapping[int, ImageArrays],
    category_ids: list[int],
    factory: Callable[[], Index],
    *,
    masks: bool = False,
) -> Index:
    """The detections of images as `COCO.loadRes` makes them, which refuses an empty list.

    Args:
        images: By id.
        category_ids: The data set's id of each label.
        factory: Makes an empty index.
        masks: Whether masks are compared; their areas then sort detections by size.
    """
    rows: list[Row] = []
    for image_id, image in images.items():
        of_image = []
        columns = (image.labels.tolist(), xywh(image.boxes).tolist(), image.scores.tolist())
        for label, box, score in zip(*columns, strict=True):
            row = {"image_id": image_id, "category_id": category_ids[label], "bbox": box}
            of_image.append({**row, "area": box[2] * box[3], "score": score})
        rows += _with_detection_masks(of_image, image) if masks else of_image
    return _index(images, category_ids, rows, factory)


def _with_object_masks(rows: list[Row], image: ImageArrays) -> list[Row]:
    segmentations = object_segmentations(image.masks, len(rows))
    unmasked = [False] * len(rows) if image.masks is None else image.masks.unmasked.tolist()
    return [
        {**row, "segmentation": segmentation, "iscrowd": int(row["iscrowd"] or lacks)}
        for row, segmentation, lacks in zip(rows, segmentations, unmasked, strict=True)
    ]


def _with_detection_masks(rows: list[Row], image: ImageArrays) -> list[Row]:
    if image.masks is None:  # the file could not be decoded, so nothing was detected
        return []
    segmentations: Any = image.masks.segmentations(image.masks.detections)
    areas = mask.area(segmentations).tolist() if segmentations else []
    return [
        {**row, "segmentation": segmentation, "area": area}
        for row, segmentation, area in zip(rows, segmentations, areas, strict=True)
    ]


def _index(
    images: Mapping[int, ImageArrays],
    category_ids: list[int],
    rows: list[Row],
    factory: Callable[[], Index],
) -> Index:
    """Ids count from 1: COCOeval takes an object with id 0 for one without a match."""
    sizes = {i: (1, 1) if image.masks is None else image.masks.size for i, image in images.items()}
    coco: Any = factory()
    coco.dataset = {
        "images": [{"id": i, "height": height, "width": w} for i, (height, w) in sizes.items()],
        "annotations": [{"id": number, **row} for number, row in enumerate(rows, start=1)],
        "categories": [{"id": number} for number in category_ids],
    }
    coco.createIndex()
    index: Index = coco
    return index
