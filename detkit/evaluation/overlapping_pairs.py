"""Overlapping pairs of detections and objects, for a whole data set at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.evaluation.box_overlaps import covered_matrix, iou_matrix
from detkit.evaluation.image_results import ImageArrays

UNMATCHED = -1
IGNORED = -2
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """N detections, each image's best first, M objects, and the K pairs that overlap.

    Attributes:
        scores: (N,).
        labels: (N,).
        object_labels: (M,).
        ignored: (M,).
        areas: (M,) annotated areas.
        detection: (K,) of each pair, ascending.
        object: (K,) of each pair.
        iou: (K,); for ignored objects, the share of the detection inside the object.
        images: How many images there are.
    """

    scores: NDArray[np.float32]
    labels: Indices
    object_labels: Indices
    ignored: NDArray[np.bool_]
    areas: NDArray[np.float64]
    detection: Indices
    object: Indices
    iou: NDArray[np.float64]
    images: int

    def same_class(self) -> NDArray[np.bool_]:
        """(K,) whether the labels of a pair are the same."""
        same: NDArray[np.bool_] = self.labels[self.detection] == self.object_labels[self.object]
        return same

    def objects_of_classes(self, classes: int) -> Indices:
        """(C,) objects that count."""
        return np.bincount(self.object_labels[~self.ignored], minlength=classes)


def find_pairs(images: Mapping[int, ImageArrays], least_iou: float, max_detections: int) -> Pairs:
    """Compare every detection with every object of its image.

    Args:
        images: By id.
        least_iou: Pairs below it are left out.
        max_detections: Detections of an image and class that are looked at, best first.
    """
    columns: list[list[NDArray[Any]]] = [[] for _ in range(8)]
    first_detection = first_object = 0
    for image in images.values():
        best = _best(image, max_detections)
        overlaps = _overlaps(image, best)
        rows, columns_at = np.nonzero(overlaps >= least_iou)
        detections = (image.scores[best], image.labels[best])
        objects = (image.object_labels, image.ignored, image.areas)
        pairs = (
            rows + first_detection,
            columns_at + first_object,
            overlaps[rows, columns_at],
        )
        parts: tuple[NDArray[Any], ...] = (*detections, *objects, *pairs)
        for column, values in zip(columns, parts, strict=True):
            column.append(values)
        first_detection += len(best)
        first_object += len(image.object_labels)
    scores, labels, object_labels, ignored, areas, detection, object_rows, iou = columns
    return Pairs(
        scores=_joined(scores, np.float32),
        labels=_joined(labels, np.int64),
        object_labels=_joined(object_labels, np.int64),
        ignored=_joined(ignored, np.bool_),
        areas=_joined(areas, np.float64),
        detection=_joined(detection, np.int64),
        object=_joined(object_rows, np.int64),
        iou=_joined(iou, np.float64),
        images=len(images),
    )


def _joined(column: list[NDArray[Any]], kind: type[np.generic]) -> NDArray[Any]:
    return np.concatenate([np.zeros(0, kind), *column]).astype(kind, copy=False)


def _best(image: ImageArrays, most: int) -> Indices:
    """Detections best first, of each class no more than `most`."""
    order = np.argsort(-image.scores, kind="stable")
    if len(order) <= most:
        return order
    by_class = np.argsort(image.labels[order], kind="stable")
    labels = image.labels[order][by_class]
    rank = np.arange(len(labels)) - np.searchsorted(labels, labels)
    return order[np.sort(by_class[rank < most])]


def _overlaps(image: ImageArrays, rows: Indices) -> NDArray[np.float64]:
    """(N, M)."""
    overlaps = iou_matrix(image.boxes[rows], image.object_boxes)
    if image.ignored.any():
        regions = image.object_boxes[image.ignored]
        overlaps[:, image.ignored] = covered_matrix(image.boxes[rows], regions)
    return overlaps


def match(pairs: Pairs, candidates: NDArray[np.bool_]) -> Indices:
    """Give each detection, best first, the free object that it overlaps most, as COCO does.

    Args:
        pairs: The overlaps.
        candidates: (K,) pairs that may be matched.

    Returns:
        (N,) the object of each detection, UNMATCHED, or IGNORED where only an ignored object is
        left for it; such an object takes any number of detections.
    """
    detection, objects = pairs.detection[candidates], pairs.object[candidates]
    # Ignored objects come last, and of equal overlaps the last object first: COCOeval's order.
    order = np.lexsort((-objects, -pairs.iou[candidates], pairs.ignored[objects], detection))
    detection, objects = detection[order], objects[order]
    ignored = pairs.ignored[objects].tolist()
    matched = np.full(len(pairs.scores), UNMATCHED)
    is_matched = bytearray(len(pairs.ignored))
    done = -1
    for row, other, is_ignored in zip(detection.tolist(), objects.tolist(), ignored, strict=True):
        if row == done or (is_matched[other] and not is_ignored):
            continue
        matched[row] = IGNORED if is_ignored else other
        is_matched[other] = 1
        done = row
    return matched


def match_classes(pairs: Pairs, iou_threshold: float) -> Indices:
    """`match` inside each class, as AP counts."""
    return match(pairs, pairs.same_class() & (pairs.iou >= iou_threshold))


def ranked(scores: NDArray[np.float32], labels: Indices, classes: int) -> list[Indices]:
    """The detections of each class, best first."""
    order = np.lexsort((-scores, labels))  # stable: equal scores stay in the order of images
    ends = np.searchsorted(labels[order], np.arange(classes + 1))
    return [order[start:end] for start, end in pairwise(ends.tolist())]
