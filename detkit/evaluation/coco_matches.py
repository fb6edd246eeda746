"""Which detections find objects, by COCO's rules, for all IoU thresholds and object sizes.

COCO's libraries match and average in one go, or return every match as a dictionary. Resampling
images needs the matches as arrays; they are computed here with pycocotools' overlaps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.evaluation.coco_pairs import CocoPairs, Flags, Integers, Kind, Values, coco_pairs
from detkit.evaluation.image_results import ImageArrays

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
SIZES = ((0.0, 1e10), (0.0, 32.0**2), (32.0**2, 96.0**2), (96.0**2, 1e10))  # all, small, ...
_NO_OBJECT = -1


@dataclass(frozen=True)
class CocoMatches:
    """D detections of I images, grouped by class, each class's best first. C classes, A sizes.

    Detections after the last match of their class are left out, as they change no precision.

    Attributes:
        class_names: The C names, in label order.
        image_ids: (I,) ascending.
        ends: (C + 1,) class c has the detections `ends[c]` to `ends[c + 1]`.
        images: (D,) position of each detection's image.
        correct: (D, A) bit t is set if the detection finds an object at IoU threshold t.
        counted: (D, A) bit t is set if the detection counts, right or wrong, at IoU threshold t.
        object_images: (M,) position of the image of each object, ignored ones excluded.
        object_labels: (M,)
        object_sizes: (M, A) whether the object has each size.
    """

    class_names: Sequence[str]
    image_ids: Integers
    ends: Integers
    images: NDArray[np.integer[Any]]
    correct: NDArray[np.uint16]
    counted: NDArray[np.uint16]
    object_images: NDArray[np.integer[Any]]
    object_labels: NDArray[np.integer[Any]]
    object_sizes: Flags


def match_coco(
    images: Mapping[int, ImageArrays],
    class_names: Sequence[str],
    max_detections: int,
    kind: Kind = "bbox",
) -> CocoMatches:
    """Match the detections of all images as COCOeval does.

    Args:
        images: By id, in ascending order, which decides between equal scores.
        class_names: The C names, in label order.
        max_detections: How many detections of an image and class count, best first.
        kind: Whether boxes or masks are compared, in COCO's words.
    """
    pairs = coco_pairs(images, max_detections, kind)
    columns = zip(*(_match(pairs, low, high) for low, high in SIZES), strict=True)
    correct, counted = (np.stack(column, axis=1) for column in columns)
    order = np.lexsort((-pairs.scores, pairs.labels))  # stable: equal scores in order of images
    order = order[_before_last_match(pairs.labels[order], correct[order])]
    objects = np.flatnonzero(~pairs.ignored)
    sizes = [_has_size(pairs.object_areas[objects], low, high) for low, high in SIZES]
    return CocoMatches(
        class_names=list(class_names),
        image_ids=np.array(list(images), dtype=np.int64),
        ends=np.searchsorted(pairs.labels[order], np.arange(len(class_names) + 1)),
        images=pairs.images[order].astype(np.int32),
        correct=correct[order],
        counted=counted[order],
        object_images=pairs.object_images[objects].astype(np.int32),
        object_labels=pairs.object_labels[objects].astype(np.int32),
        object_sizes=np.stack(sizes, axis=1),
    )


def _has_size(areas: Values, low: float, high: float) -> Flags:
    """Whether areas are in a range; an area on a border is in both ranges, as in COCOeval."""
    inside: Flags = (areas >= low) & (areas <= high)
    return inside


def _match(
    pairs: CocoPairs, low: float, high: float
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Which detections find an object, and which count, as bits of the IoU thresholds.

    Objects outside of the range of areas are ignored; so are detections outside of it that match
    nothing.
    """
    ignored = pairs.ignored | ~_has_size(pairs.object_areas, low, high)
    has_size = _has_size(pairs.areas, low, high)
    # Ignored objects come last, and of equal overlaps the last object first: COCOeval's order.
    order = np.lexsort((-pairs.object, -pairs.iou, ignored[pairs.object], pairs.detection))
    pairs = pairs._replace(
        detection=pairs.detection[order], object=pairs.object[order], iou=pairs.iou[order]
    )
    correct = np.zeros(len(pairs.scores), np.uint16)
    counted = np.zeros_like(correct)
    for bit, threshold in enumerate(IOU_THRESHOLDS.tolist()):
        objects = _assign(pairs, pairs.iou >= threshold)
        is_matched = objects != _NO_OBJECT
        is_ignored = is_matched & np.append(ignored, False)[objects]
        correct |= (is_matched & ~is_ignored).astype(np.uint16) << bit
        counted |= np.where(is_matched, ~is_ignored, has_size).astype(np.uint16) << bit
    return correct, counted


def _assign(pairs: CocoPairs, candidates: Flags) -> Integers:
    """(N,) the object of each detection, which takes the first free one among its pairs.

    An object that is a crowd takes any number of detections.
    """
    detections, objects = pairs.detection[candidates], pairs.object[candidates]
    crowds = pairs.ignored[objects].tolist()
    assigned = [_NO_OBJECT] * len(pairs.scores)
    is_free = bytearray(b"\1") * len(pairs.ignored)
    previous = -1
    for detection, index, crowd in zip(detections.tolist(), objects.tolist(), crowds, strict=True):
        if detection != previous and (is_free[index] or crowd):
            assigned[detection] = index
            is_free[index] = 0
            previous = detection
    return np.array(assigned, dtype=np.int64)


def _before_last_match(labels: Integers, correct: NDArray[np.uint16]) -> Flags:
    """Which of the sorted detections are matches or have one after them in their class."""
    matches_from = np.cumsum((correct != 0).any(axis=1)[::-1])[::-1]
    ends = np.searchsorted(labels, labels, side="right")
    later_classes: Integers = np.append(matches_from, 0)[ends]
    flags: Flags = matches_from > later_classes
    return flags
