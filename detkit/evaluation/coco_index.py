"""Convert images to the index that COCO's evaluation uses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from detkit.evaluation.image_results import ImageArrays, xywh

Index = TypeVar("Index")  # the class `COCO` of pycocotools or of faster-coco-eval


def objects_index(
    images: Mapping[int, ImageArrays], category_ids: list[int], factory: Callable[[], Index]
) -> Index:
    """The objects of images, by image id, as they are read from an annotation file."""
    rows: list[dict[str, Any]] = []
    for image_id, image in images.items():
        columns = (image.object_labels.tolist(), xywh(image.object_boxes).tolist())
        for label, box, area, ignored in zip(
            *columns, image.areas.tolist(), image.ignored.tolist(), strict=True
        ):
            row = {"image_id": image_id, "category_id": category_ids[label], "bbox": box}
            rows.append({**row, "area": area, "iscrowd": int(ignored)})
    return _index(images, category_ids, rows, factory)


def detections_index(
    images: Mapping[int, ImageArrays], category_ids: list[int], factory: Callable[[], Index]
) -> Index:
    """The detections of images as `COCO.loadRes` makes them, which refuses an empty list."""
    rows: list[dict[str, Any]] = []
    for image_id, image in images.items():
        columns = (image.labels.tolist(), xywh(image.boxes).tolist(), image.scores.tolist())
        for label, box, score in zip(*columns, strict=True):
            row = {"image_id": image_id, "category_id": category_ids[label], "bbox": box}
            rows.append({**row, "area": box[2] * box[3], "score": score})
    return _index(images, category_ids, rows, factory)


def _index(
    images: Iterable[int],
    category_ids: list[int],
    rows: list[dict[str, Any]],
    factory: Callable[[], Index],
) -> Index:
    """Ids count from 1: COCOeval takes an object with id 0 for one without a match."""
    coco: Any = factory()
    coco.dataset = {
        "images": [{"id": image_id} for image_id in images],
        "annotations": [{"id": number, **row} for number, row in enumerate(rows, start=1)],
        "categories": [{"id": number} for number in category_ids],
    }
    coco.createIndex()
    index: Index = coco
    return index
