"""Images as arrays, and arrays as the index that pycocotools takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO

from detkit.structures import Detections, Target


class ImageArrays(NamedTuple):
    """The detections and objects of one image; copies, so that no batch is kept alive.

    Attributes:
        boxes: (N, 4) detections, xyxy.
        scores: (N,).
        labels: (N,).
        object_boxes: (M, 4) xyxy.
        object_labels: (M,).
        ignored: (M,).
        areas: (M,) annotated areas, box areas where there is none.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    object_boxes: NDArray[np.float32]
    object_labels: NDArray[np.int64]
    ignored: NDArray[np.bool_]
    areas: NDArray[np.float64]

    def content(self) -> bytes:
        """What tells two results for one image apart."""
        return b"".join(value.tobytes() for value in (self.scores, self.boxes, self.labels))


def image_arrays(found: Detections, target: Target) -> ImageArrays:
    """The arrays of one image."""
    object_boxes = np.array(target.boxes.cpu().float())
    areas = _xywh(object_boxes)[:, 2:].prod(axis=1)
    if target.areas is not None:
        annotated = np.array(target.areas.cpu().double())
        areas = np.where(np.isnan(annotated), areas, annotated)
    return ImageArrays(
        boxes=np.array(found.boxes.detach().cpu().float()),
        scores=np.array(found.scores.detach().cpu().float()),
        labels=np.array(found.labels.cpu().long()),
        object_boxes=object_boxes,
        object_labels=np.array(target.labels.cpu().long()),
        ignored=np.array(target.ignored.cpu()),
        areas=areas,
    )


def objects_index(images: Mapping[int, ImageArrays], category_ids: list[int]) -> COCO:
    """The objects of images, by image id, as pycocotools reads them from an annotation file."""
    rows: list[dict[str, Any]] = []
    for image_id, image in images.items():
        columns = (image.object_labels.tolist(), _xywh(image.object_boxes).tolist())
        for label, box, area, ignored in zip(
            *columns, image.areas.tolist(), image.ignored.tolist(), strict=True
        ):
            row = {"image_id": image_id, "category_id": category_ids[label], "bbox": box}
            rows.append({**row, "area": area, "iscrowd": int(ignored)})
    return _index(images, category_ids, rows)


def detections_index(images: Mapping[int, ImageArrays], category_ids: list[int]) -> COCO:
    """The detections of images as `COCO.loadRes` makes them, which refuses an empty list."""
    rows: list[dict[str, Any]] = []
    for image_id, image in images.items():
        columns = (image.labels.tolist(), _xywh(image.boxes).tolist(), image.scores.tolist())
        for label, box, score in zip(*columns, strict=True):
            row = {"image_id": image_id, "category_id": category_ids[label], "bbox": box}
            rows.append({**row, "area": box[2] * box[3], "score": score})
    return _index(images, category_ids, rows)


def _index(images: Iterable[int], category_ids: list[int], rows: list[dict[str, Any]]) -> COCO:
    """Ids count from 1: COCOeval takes an object with id 0 for one without a match."""
    coco = COCO()
    coco.dataset = {
        "images": [{"id": image_id} for image_id in images],
        "annotations": [{"id": number, **row} for number, row in enumerate(rows, start=1)],
        "categories": [{"id": number} for number in category_ids],
    }
    coco.createIndex()
    return coco


def _xywh(boxes: NDArray[np.float32]) -> NDArray[np.float64]:
    """In float64, where the difference of two float32 coordinates loses nothing that matters."""
    exact = boxes.astype(np.float64)
    return np.concatenate([exact[:, :2], exact[:, 2:] - exact[:, :2]], axis=1)
