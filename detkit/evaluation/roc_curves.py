"""ROC curves for detection: free-response curves (FROC), and ROC curves of the scores."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from detkit.evaluation.ranked_detections import RankedDetections
from detkit.structures.analysis import RocCurves

FALSE_POSITIVES = np.geomspace(0.001, 100, 101)  # per image, where recall is looked up
FROC_POINTS = np.array([0.125, 0.25, 0.5, 1, 2, 4, 8])  # their mean recall is the FROC score
_RATES = np.linspace(0, 1, 201)
Values = NDArray[np.float64]


def roc_curves(ranked: list[RankedDetections], images: int, iou_threshold: float) -> RocCurves:
    """The curves of each class, and of all classes together.

    An image has no fixed number of places without an object, so an ROC curve in the usual sense
    has no false-positive rate. Two curves take its place. The free-response curve (FROC) shows the
    share of objects that are detected against the wrong detections per image. The ROC curve of the
    scores shows, over all score thresholds, the share of correct detections that pass against the
    share of wrong detections that pass; its area is the probability that a correct detection
    scores higher than a wrong one. It says nothing about missed objects.

    Paper: A Free-Response Approach to the Measurement and Characterization of Radiographic-Observer
    Performance (Bunch et al., 1977), https://doi.org/10.1117/12.955926; the FROC score is that of
    the LUNA16 challenge (Setio et al., 2017), https://arxiv.org/abs/1612.08012

    Args:
        ranked: The detections of each class and of all classes, best first.
        images: Number of images.
        iou_threshold: The threshold of their matches.
    """
    curves = [_roc(detections) for detections in ranked]
    return RocCurves(
        iou_threshold,
        FALSE_POSITIVES,
        np.stack([_recall_at(detections, images, FALSE_POSITIVES) for detections in ranked]),
        np.array([_recall_at(detections, images, FROC_POINTS).mean() for detections in ranked]),
        _RATES,
        np.stack([rates for rates, _ in curves]),
        np.array([area for _, area in curves]),
    )


def _recall_at(detections: RankedDetections, images: int, limits: Values) -> Values:
    """(F,) the highest recall with at most so many wrong detections per image."""
    if detections.objects == 0:
        return np.full(len(limits), math.nan)
    last = detections.last_of_equal_scores()
    hits = np.append(0, detections.correct.cumsum()[last])
    wrong = np.append(0, last + 1) - hits
    points = np.searchsorted(wrong / max(images, 1), limits, side="right") - 1
    recall: Values = hits[points] / detections.objects
    return recall


def _roc(detections: RankedDetections) -> tuple[Values, float]:
    """(R,) true-positive rates and the area; NaN without correct or without wrong detections."""
    correct = int(detections.correct.sum())
    wrong = len(detections.correct) - correct
    if correct == 0 or wrong == 0:
        return np.full(len(_RATES), math.nan), math.nan
    last = detections.last_of_equal_scores()
    hits = np.append(0, detections.correct.cumsum()[last])
    misses = np.append(0, last + 1) - hits
    true_rate, false_rate = hits / correct, misses / wrong
    # Where the curve is vertical, `interp` takes the upper end.
    rates: Values = np.interp(_RATES, false_rate, true_rate)
    return rates, float((np.diff(false_rate) * (true_rate[1:] + true_rate[:-1]) / 2).sum())
