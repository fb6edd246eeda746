"""Match detections to objects, class by class, as Pascal VOC defines it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detkit.evaluation.box_overlaps import iou_matrix
from detkit.evaluation.image_results import ImageArrays

_CORRECT, _WRONG, _IGNORED = 1, 0, -1


class ClassMatches(NamedTuple):
    """The N detections of one class that count, highest score first.

    Attributes:
        scores: (N,)
        correct: (N,) whether the detection finds an object.
        objects: How many objects the class has, ignored ones excluded.
    """

    scores: NDArray[np.float64]
    correct: NDArray[np.bool_]
    objects: int


def match_classes(
    images: Iterable[ImageArrays], object_counts: Iterable[int], iou_threshold: float
) -> list[ClassMatches]:
    """Match the detections of all images; returns the matches of each class in label order.

    A detection belongs to the object of its class that it overlaps most. It is correct if the IoU
    reaches the threshold and no detection with a higher score takes that object. If the object is
    ignored (crowd, difficult), the detection does not count.

    Args:
        images: Detections and objects of each image.
        object_counts: The objects of each class, ignored ones excluded.
        iou_threshold: The smallest IoU that finds an object.
    """
    columns = zip(*(_judge(image, iou_threshold) for image in images), strict=True)
    scores, labels, verdicts = (
        np.concatenate([np.zeros(0), *column]) for column in [*columns] or [()] * 3
    )
    classes = []
    for label, count in enumerate(object_counts):
        counts = (labels == label) & (verdicts != _IGNORED)
        order = np.argsort(-scores[counts], kind="stable")
        correct = verdicts[counts][order] == _CORRECT
        classes.append(ClassMatches(scores[counts][order], correct, count))
    return classes


class _JudgedImage(NamedTuple):
    """The detections of an image, highest score first, and a verdict on each."""

    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    verdicts: NDArray[np.int64]


def _judge(image: ImageArrays, iou_threshold: float) -> _JudgedImage:
    order = np.argsort(-image.scores, kind="stable")
    scores, labels = image.scores[order], image.labels[order]
    verdicts = np.full(len(order), _WRONG)
    if len(order) and len(image.object_labels):
        overlaps = iou_matrix(image.boxes[order], image.object_boxes)
        same_class = labels[:, None] == image.object_labels[None]
        overlaps[~same_class | (overlaps == 0)] = -1
        best = overlaps.argmax(axis=1)
        hits = overlaps.max(axis=1) >= iou_threshold
        verdicts[hits & image.ignored[best]] = _IGNORED
        candidates = np.flatnonzero(hits & ~image.ignored[best])
        _, first = np.unique(best[candidates], return_index=True)  # the highest score per object
        verdicts[candidates[first]] = _CORRECT
    return _JudgedImage(scores, labels, verdicts)
