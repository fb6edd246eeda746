"""Results of an error analysis. C classes; a background row, if any, is the last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ERROR_KINDS = ("classification", "localisation", "both", "duplicate", "background", "missed")


def mean_of_classes(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(S,) mean of (C, S) over the classes that have a value; NaN where none has."""
    counts = (~np.isnan(values)).sum(axis=0)
    sums = np.nansum(values, axis=0)
    mean: NDArray[np.float64] = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return mean


@dataclass(frozen=True)
class PrecisionRecall:
    """Precision at each level of recall.

    Attributes:
        iou_thresholds: The T thresholds.
        recall: (R,) 0 to 1.
        precision: (T, C, R), the highest at that recall or above; NaN without objects.
    """

    iou_thresholds: list[float]
    recall: NDArray[np.float64]
    precision: NDArray[np.float64]

    def average_precision(self) -> NDArray[np.float64]:
        """(T, C) area under each curve."""
        average: NDArray[np.float64] = self.precision.mean(axis=-1)
        return average


@dataclass(frozen=True)
class Confusion:
    """Confusion matrix of objects and detections.

    Attributes:
        iou_threshold: Minimum IoU to match a detection with an object.
        score_threshold: Detections with lower scores are ignored.
        counts: (C + 1, C + 1); rows are objects, columns detections, the last of both background.
    """

    iou_threshold: float
    score_threshold: float
    counts: NDArray[np.int64]

    def shares(self) -> NDArray[np.float64]:
        """Each row divided by its sum; empty rows are 0."""
        sums = self.counts.sum(axis=1, keepdims=True)
        shares: NDArray[np.float64] = self.counts / np.maximum(sums, 1)
        return shares


@dataclass(frozen=True)
class OperatingPoint:
    """Metrics at one score threshold; NaN if nothing can be measured."""

    score_threshold: float
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class ScoreThresholds:
    """Precision, recall and F1 against the score threshold.

    Attributes:
        iou_threshold: Minimum IoU to detect an object.
        scores: (S,) 0 to 1.
        precision: (C + 1, S); the last row covers all classes; NaN without detections.
        recall: (C + 1, S); NaN without objects.
        f1: (C + 1, S); NaN without objects.
        best: The C + 1 points with the highest F1.
    """

    iou_threshold: float
    scores: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    best: list[OperatingPoint]


@dataclass(frozen=True)
class RocCurves:
    """FROC curves, and ROC curves of the scores; the last of C + 1 rows covers all classes.

    Attributes:
        iou_threshold: Minimum IoU to detect an object.
        false_positives: (F,) wrong detections per image, ascending.
        recall: (C + 1, F) the highest with at most so many; NaN without objects.
        froc_score: (C + 1,) mean recall at 1/8, 1/4, 1/2, 1, 2, 4 and 8 wrong detections per image.
        false_positive_rate: (R,) share of the wrong detections that pass a score threshold.
        true_positive_rate: (C + 1, R) share of the correct detections that pass it; NaN without
            correct or without wrong detections.
        area: (C + 1,) area under the ROC curve; NaN as the curve.
    """

    iou_threshold: float
    false_positives: NDArray[np.float64]
    recall: NDArray[np.float64]
    froc_score: NDArray[np.float64]
    false_positive_rate: NDArray[np.float64]
    true_positive_rate: NDArray[np.float64]
    area: NDArray[np.float64]


@dataclass(frozen=True)
class ErrorSplit:
    """The AP that each kind of error costs.

    Attributes:
        foreground: Minimum IoU to detect an object.
        background: IoU below which a detection counts as background.
        average_precision: AP at `foreground`.
        gains: By kind, the gain in AP if only the errors of this kind were fixed.
        counts: By kind, (C,) numbers of errors by predicted class, or by missed class.
        false_positive_gain: The gain if there were no wrong detections.
        false_negative_gain: The gain if no object were missed.
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
    """An error analysis, which complements the metrics.

    Attributes:
        class_names: The C names, in label order.
        images: Number of images analysed.
        objects: (C,) numbers of objects that are not ignored.
        objects_by_size: Number of objects by COCO's sizes: `small`, `medium` and `large`.
        detections: Number of detections analysed.
        precision_recall: Precision-recall curves of each class.
        confusion: Confusion matrix.
        thresholds: Precision, recall and F1 by score threshold.
        roc: FROC curves, and ROC curves of the scores.
        errors: The AP that each kind of error costs.
    """

    class_names: list[str]
    images: int
    objects: NDArray[np.int64]
    objects_by_size: Mapping[str, int]
    detections: int
    precision_recall: PrecisionRecall
    confusion: Confusion
    thresholds: ScoreThresholds
    roc: RocCurves
    errors: ErrorSplit
