"""Precision-recall curves, and precision and recall by score threshold."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from detkit.evaluation.overlapping_pairs import IGNORED, Indices, Pairs, match_classes, ranked
from detkit.evaluation.ranked_detections import RankedDetections
from detkit.structures.analysis import OperatingPoint, PrecisionRecall, ScoreThresholds

RECALLS = np.linspace(0, 1, 101)  # where COCO looks at the precision
_SCORES = np.linspace(0, 1, 201)
Flags = NDArray[np.bool_]
Values = NDArray[np.float64]


def precision_recall(pairs: Pairs, classes: int, iou_thresholds: list[float]) -> PrecisionRecall:
    """Curves of each class; their means are COCO's AP."""
    objects = pairs.objects_of_classes(classes)
    precision = np.stack([_curves(pairs, match_classes(pairs, t), objects) for t in iou_thresholds])
    return PrecisionRecall(iou_thresholds, RECALLS, precision)


def _curves(pairs: Pairs, matched: Indices, objects: Indices) -> Values:
    """(C, 101)."""
    counted = np.flatnonzero(matched != IGNORED)
    of_classes = ranked(pairs.scores[counted], pairs.labels[counted], len(objects))
    right = matched[counted] >= 0
    return np.stack(
        [interpolated(right[rows], int(n)) for rows, n in zip(of_classes, objects, strict=True)]
    )


def interpolated(right: Flags, objects: int, recalls: Values = RECALLS) -> Values:
    """(R,) highest precision at or above each recall; NaN without objects.

    Args:
        right: (N,) whether each counted detection matches an object, best first.
        objects: The number of objects.
        recalls: (R,) ascending.
    """
    if objects == 0:
        return np.full(len(recalls), math.nan)
    hits = right.cumsum()
    precision = hits / np.arange(1, len(right) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    values: Values = np.append(best, 0)[np.searchsorted(hits / objects, recalls)]
    return values


def score_thresholds(rows: list[RankedDetections], iou_threshold: float) -> ScoreThresholds:
    """Precision, recall and F1 of each row of detections at score thresholds.

    Args:
        rows: The detections of each class and of all classes, best first.
        iou_threshold: The threshold of their matches.
    """
    table = [_at_scores(*detections) for detections in rows]
    precision, recall = (np.stack(column) for column in zip(*table, strict=True))
    best = [_best(detections) for detections in rows]
    return ScoreThresholds(iou_threshold, _SCORES, precision, recall, _f1(precision, recall), best)


def _at_scores(scores: NDArray[np.float32], right: Flags, objects: int) -> tuple[Values, Values]:
    """(S,) precision and recall of the detections with each score or a higher one."""
    counts = np.searchsorted(-scores, -_SCORES, side="right")
    hits = np.append(0, right.cumsum())[counts]
    precision = np.where(counts > 0, hits / np.maximum(counts, 1), math.nan)
    recall = hits / objects if objects else np.full(len(_SCORES), math.nan)
    return precision, recall


def _best(detections: RankedDetections) -> OperatingPoint:
    """The threshold with the highest F1, half-way to the next score below it.

    Of equal F1 the highest threshold; equal scores are kept or left out together.
    """
    scores, right, objects = detections
    if objects == 0 or not right.any():
        recall = math.nan if objects == 0 else 0.0
        return OperatingPoint(math.nan, math.nan, recall, recall)
    last = detections.last_of_equal_scores()
    hits, counts = right.cumsum()[last], last + 1
    f1 = 2 * hits / (counts + objects)
    best = int(f1.argmax())
    score = float(scores[last[best]])
    below = float(scores[last[best + 1]]) if best + 1 < len(last) else 0.99 * score
    return OperatingPoint(
        score_threshold=(score + below) / 2,
        precision=float(hits[best] / counts[best]),
        recall=float(hits[best] / objects),
        f1=float(f1[best]),
    )


def _f1(precision: Values, recall: Values) -> Values:
    """0 without detections, NaN without objects."""
    both = np.nan_to_num(precision) + recall
    product = 2 * np.nan_to_num(precision) * recall
    return np.where(both == 0, 0, product / np.where(both == 0, 1, both))
