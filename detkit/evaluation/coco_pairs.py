"""Detections and objects of one class that overlap, for a whole data set, as COCOeval sees them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask

from detkit.evaluation.image_results import ImageArrays, xywh

Kind = Literal["bbox", "segm"]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]
Values = NDArray[np.float64]
_LEAST_IOU = 0.5  # COCO's lowest threshold


class CocoPairs(NamedTuple):
    """N detections, each image's best first, M objects, and the K pairs that overlap.

    Attributes:
        images: (N,) position of each detection's image.
        scores: (N,)
        labels: (N,)
        areas: (N,)
        object_images: (M,)
        object_labels: (M,)
        object_areas: (M,) annotated areas.
        ignored: (M,) crowds, difficult objects and, for masks, objects without one.
        detection: (K,) of each pair.
        object: (K,)
        iou: (K,) 0.5 or more; for ignored objects, the share of the detection inside the object.
    """

    images: Integers
    scores: NDArray[np.float32]
    labels: Integers
    areas: Values
    object_images: Integers
    object_labels: Integers
    object_areas: Values
    ignored: Flags
    detection: Integers
    object: Integers
    iou: Values


_KINDS = ("i8", "f4", "i8", "f8", "i8", "i8", "f8", "?", "i8", "i8", "f8")


def coco_pairs(images: Mapping[int, ImageArrays], max_detections: int, kind: Kind) -> CocoPairs:
    """Compare detections and objects of the same image and class.

    Args:
        images: By id, in ascending order, which decides between equal scores.
        max_detections: How many detections of an image and class count, best first.
        kind: Whether boxes or masks are compared, in COCO's words.
    """
    parts = [tuple(np.zeros(0, kind) for kind in _KINDS)]
    first_detection = first_object = 0
    for position, image in enumerate(images.values()):
        shapes = _Shapes.of(image, kind)
        best = _best(shapes.scores, shapes.labels, max_detections)
        rows, objects, iou = _overlaps(shapes, best)
        parts.append((
            np.full(len(best), position), shapes.scores[best], shapes.labels[best],
            shapes.areas[best], np.full(len(image.ignored), position), image.object_labels,
            image.areas, shapes.ignored, rows + first_detection, objects + first_object, iou,
        ))  # fmt: skip
        first_detection += len(best)
        first_object += len(image.ignored)
    return CocoPairs(*(np.concatenate(column) for column in zip(*parts, strict=True)))


class _Shapes(NamedTuple):
    """Boxes or masks of one image, in the form that pycocotools compares."""

    scores: NDArray[np.float32]
    labels: Integers
    areas: Values
    detections: Any  # (N, 4) x, y, width, height, or N masks
    object_labels: Integers
    objects: Any
    ignored: Flags

    @staticmethod
    def of(image: ImageArrays, kind: Kind) -> _Shapes:
        labels = (image.object_labels, image.ignored)
        if kind == "bbox":
            boxes, objects = xywh(image.boxes), xywh(image.object_boxes)
            return _Shapes(image.scores, image.labels, boxes[:, 2] * boxes[:, 3], boxes,
                           labels[0], objects, labels[1])  # fmt: skip
        masks = image.masks
        if masks is None:  # the file could not be decoded, so nothing was detected
            nothing = np.zeros(0, np.int64)
            return _Shapes(np.zeros(0, np.float32), nothing, np.zeros(0), [], labels[0], [],
                           labels[1])  # fmt: skip
        runs, of_objects = (masks.segmentations(m) for m in (masks.detections, masks.objects))
        areas = np.asarray(mask.area(runs) if runs else [], dtype=np.float64)
        return _Shapes(image.scores, image.labels, areas, runs, labels[0], of_objects,
                       labels[1] | masks.unmasked)  # fmt: skip

    def iou(self, rows: Integers, objects: Integers) -> Values:
        """(N, M) by pycocotools, so that thresholds decide as they do there."""
        shapes = self.detections, self.objects
        first, second = (
            part[at] if isinstance(part, np.ndarray) else [part[position] for position in at]
            for part, at in zip(shapes, (rows, objects), strict=True)
        )
        values: Values = mask.iou(first, second, self.ignored[objects].astype(int).tolist())
        return values


def _best(scores: NDArray[np.float32], labels: Integers, most: int) -> Integers:
    """Detections best first, of each class no more than `most`."""
    order = np.argsort(-scores, kind="stable")
    if len(order) <= most:
        return order
    by_class = np.argsort(labels[order], kind="stable")
    sorted_labels = labels[order][by_class]
    rank = np.arange(len(order)) - np.searchsorted(sorted_labels, sorted_labels)
    best: Integers = order[np.sort(by_class[rank < most])]
    return best


def _overlaps(shapes: _Shapes, best: Integers) -> tuple[Integers, Integers, Values]:
    """The pairs of one image: positions in `best`, objects, and overlaps."""
    parts = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    parts += list(_overlaps_by_class(shapes, best))
    rows, objects, iou = (np.concatenate(column) for column in zip(*parts, strict=True))
    return rows, objects, iou


def _overlaps_by_class(
    shapes: _Shapes, best: Integers
) -> Iterator[tuple[Integers, Integers, Values]]:
    labels = shapes.labels[best]
    for label in np.intersect1d(labels, shapes.object_labels).tolist():
        rows = np.flatnonzero(labels == label)
        objects = np.flatnonzero(shapes.object_labels == label)
        iou = shapes.iou(best[rows], objects)
        first, second = np.nonzero(iou >= _LEAST_IOU)
        yield rows[first], objects[second], iou[first, second]
