"""What an analysis of detections found. C classes, the background last where it is one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ERROR_KINDS = ("classification", "localisation", "both", "duplicate", "background", "missed")


@dataclass(frozen=True)
class PrecisionRecall:
    """The precision that is left where recall must be reached.

    Attributes:
        iou_thresholds: T.
        recall: (R,) 0 to 1.
        precision: (T, C, R), the best at that recall or a higher one; NaN without objects.
    """

    iou_thresholds: list[float]
    recall: NDArray[np.float64]
    precision: NDArray[np.float64]

    def average_precision(self) -> NDArray[np.float64]:
        """(T, C)."""
        found: NDArray[np.float64] = self.precision.mean(axis=-1)
        return found


@dataclass(frozen=True)
class Confusion:
    """What objects of each class were taken for.

    Attributes:
        iou_threshold: Overlap that makes a detection and an object a pair.
        score_threshold: Detections below it are left out.
        counts: (C + 1, C + 1); rows are objects, columns detections, the last of both background.
    """

    iou_threshold: float
    score_threshold: float
    counts: NDArray[np.int64]

    def shares(self) -> NDArray[np.float64]:
        """Each row over its sum; a row without anything is 0."""
        sums = self.counts.sum(axis=1, keepdims=True)
        found: NDArray[np.float64] = self.counts / np.maximum(sums, 1)
        return found


@dataclass(frozen=True)
class OperatingPoint:
    """What a score threshold gives; NaN where there is nothing to measure."""

    score_threshold: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class ScoreThresholds:
    """Precision, recall and F1 against the score threshold.

    Attributes:
        iou_threshold: Overlap that finds an object.
        scores: (S,) 0 to 1.
        precision: (C + 1, S); the last row is all classes together; NaN without detections.
        recall: (C + 1, S); NaN without objects.
        f1: (C + 1, S); NaN without objects.
        best: C + 1 points with the highest F1, at any threshold.
    """

    iou_threshold: float
    scores: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    best: list[OperatingPoint]


@dataclass(frozen=True)
class ErrorSplit:
    """What AP loses to each kind of error.

    Attributes:
        foreground: IoU that finds an object.
        background: IoU below which a detection touches no object.
        average_precision: AP at `foreground` as it is.
        gains: By kind, how much higher AP is when the errors of this kind alone are repaired.
        counts: By kind, (C,) errors of the class that was predicted, or that was missed.
        false_positive_gain: The same when all wrong detections are gone.
        false_negative_gain: The same when no object is missing.
    """

    foreground: float
    background: float
    average_precision: float
    gains: Mapping[str, float]
    counts: Mapping[str, NDArray[np.int64]]
    false_positive_gain: float
    false_negative_gain: float


@dataclass(frozen=True)
class Analysis:
    """Everything that is found beside a metric's numbers.

    Attributes:
        class_names: The C names, in label order.
        images: How many images it rests on.
        objects: (C,) objects that count.
        objects_by_size: `small`, `medium` and `large` as COCO has them -> objects.
        detections: Detections that were looked at.
        precision_recall: Curves of each class.
        confusion: What classes were taken for.
        thresholds: What score thresholds give.
        errors: What AP loses to which error.
    """

    class_names: list[str]
    images: int
    objects: NDArray[np.int64]
    objects_by_size: Mapping[str, int]
    detections: int
    precision_recall: PrecisionRecall
    confusion: Confusion
    thresholds: ScoreThresholds
    errors: ErrorSplit
