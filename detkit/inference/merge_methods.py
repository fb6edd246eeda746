"""Suppression, decay and fusion of the detections of one class, in NumPy.

They do what the registered post-processors of the same names do (a test compares them), without
PyTorch, so that exported files can be merged where only NumPy is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detkit.evaluation.box_overlaps import iou_matrix

Array = NDArray[np.float64]


class Group(NamedTuple):
    """Detections that may affect each other, best first: those of one class in one image.

    Attributes:
        boxes: (N, 4).
        scores: (N,) after weighting.
        weights: (N,) weight of the view that each detection is from.
        views: Number of views, also those without a detection.
        total_weight: Sum of the weights of all views.
        largest_weight: The largest weight of a view.
    """

    boxes: Array
    scores: Array
    weights: Array
    views: int
    total_weight: float
    largest_weight: float


class Merged(NamedTuple):
    """Merged detections of a group.

    Attributes:
        positions: (M,) the position in the group of each one's best detection.
        boxes: (M, 4).
        scores: (M,).
    """

    positions: NDArray[np.int64]
    boxes: Array
    scores: Array


def keep_all(group: Group) -> Merged:
    """Change nothing."""
    return Merged(np.arange(len(group.scores)), group.boxes, group.scores)


def hard_nms(group: Group, *, iou_threshold: float, max_detections: int) -> Merged:
    """Keep detections that no better one overlaps by more than the threshold."""

    def factors(box: Array, boxes: Array) -> Array:
        keeps: Array = (iou_matrix(box, boxes)[0] <= iou_threshold).astype(np.float64)
        return keeps

    return _suppress_in_turn(group, factors, 0.0, max_detections)


def diou_nms(group: Group, *, threshold: float, beta: float, max_detections: int) -> Merged:
    """Hard NMS by IoU minus the distance of the centres."""

    def factors(box: Array, boxes: Array) -> Array:
        measure = iou_matrix(box, boxes)[0] - _distance_penalty(box[0], boxes) ** beta
        keeps: Array = (measure <= threshold).astype(np.float64)
        return keeps

    return _suppress_in_turn(group, factors, 0.0, max_detections)


def soft_nms(
    group: Group,
    *,
    method: str,
    iou_threshold: float,
    sigma: float,
    minimum_score: float,
    max_detections: int,
) -> Merged:
    """Lower the scores of detections that overlap a better one."""

    def factors(box: Array, boxes: Array) -> Array:
        overlaps = iou_matrix(box, boxes)[0]
        if method == "gaussian":
            gaussian: Array = np.exp(-(overlaps**2) / sigma)
            return gaussian
        return np.where(overlaps >= iou_threshold, 1 - overlaps, 1)

    return _suppress_in_turn(group, factors, minimum_score, max_detections)


def matrix_nms(group: Group, *, method: str, sigma: float, minimum_score: float) -> Merged:
    """Lower scores like soft-NMS, all at once; see the post-processor `matrix_nms`."""
    overlaps = np.triu(iou_matrix(group.boxes, group.boxes), k=1)  # (better, worse)
    largest = overlaps.max(axis=0, initial=0)[:, None]
    if method == "gaussian":
        ratios = np.exp((largest**2 - overlaps**2) / sigma)
    else:
        ratios = (1 - overlaps) / (1 - largest).clip(min=1e-7)  # finite for identical boxes
    factors = np.where(overlaps > 0, ratios, 1).min(axis=0, initial=1)
    scores = group.scores * factors
    positions = np.flatnonzero(scores > minimum_score)
    return Merged(positions, group.boxes[positions], scores[positions])


def fuse(group: Group, *, iou_threshold: float, score: str) -> Merged:
    """Weighted boxes fusion, as the package ensemble-boxes does it.

    Each detection joins the cluster whose mean box it overlaps most, if by more than the threshold.
    A cluster's box is the mean of its boxes, weighted by score.
    """
    count = len(group.scores)
    means, sums = np.zeros((count, 4)), np.zeros((count, 4))
    totals, weights = np.zeros(count), np.zeros(count)
    members, first = np.zeros(count, np.int64), np.zeros(count, np.int64)
    clusters = 0
    for position, (box, value) in enumerate(zip(group.boxes, group.scores, strict=True)):
        overlaps = iou_matrix(box[None], means[:clusters])[0]
        cluster = int(overlaps.argmax()) if clusters else 0
        if clusters == 0 or overlaps[cluster] <= iou_threshold:
            cluster, clusters = clusters, clusters + 1
            first[cluster] = position
        sums[cluster] += value * box
        totals[cluster] += value
        weights[cluster] += group.weights[position]
        members[cluster] += 1
        means[cluster] = sums[cluster] / totals[cluster]
    used = slice(clusters)
    best = group.scores[first[used]]
    scores = {
        "agreement": totals / members.clip(min=1) * np.minimum(group.views, members),
        "mean": totals,
    }
    divisors = {"agreement": group.total_weight, "mean": weights.clip(min=1e-12)}
    values = (
        best / group.largest_weight
        if score == "highest"
        else (scores[score] / divisors[score])[used]
    )
    return Merged(first[used], means[used], values)


def _suppress_in_turn(
    group: Group,
    factors: Callable[[Array, Array], Array],
    minimum_score: float,
    max_detections: int,
) -> Merged:
    """Take the best detection, multiply the scores of the remaining ones by factors, and repeat."""
    scores, remaining = group.scores.copy(), np.flatnonzero(group.scores > minimum_score)
    positions: list[int] = []
    while len(remaining) and len(positions) < max_detections:
        best = remaining[scores[remaining].argmax()]
        positions.append(int(best))
        remaining = remaining[remaining != best]
        scores[remaining] *= factors(group.boxes[best][None], group.boxes[remaining])
        remaining = remaining[scores[remaining] > minimum_score]
    order = np.array(positions, np.int64)
    return Merged(order, group.boxes[order], scores[order])


def _distance_penalty(box: Array, boxes: Array) -> Array:
    """(N,) squared distance of centres over the squared diagonal around both boxes."""
    centre, centres = (box[:2] + box[2:]) / 2, (boxes[:, :2] + boxes[:, 2:]) / 2
    low, high = np.minimum(box[:2], boxes[:, :2]), np.maximum(box[2:], boxes[:, 2:])
    distances: Array = ((centre - centres) ** 2).sum(axis=1)
    penalty: Array = distances / ((high - low) ** 2).sum(axis=1).clip(min=1e-7)
    return penalty


class Method(NamedTuple):
    """A way to merge, and the defaults of its settings."""

    merge: Callable[..., Merged]
    defaults: dict[str, Any]


# Defaults as in the registered post-processors.
METHODS = {
    "weighted_boxes_fusion": Method(fuse, {"iou_threshold": 0.55, "score": "agreement"}),
    "nms": Method(hard_nms, {"iou_threshold": 0.5, "max_detections": 100}),
    "soft_nms": Method(
        soft_nms,
        {
            "method": "linear",
            "iou_threshold": 0.3,
            "sigma": 0.5,
            "minimum_score": 0.001,
            "max_detections": 100,
        },
    ),
    "diou_nms": Method(diou_nms, {"threshold": 0.5, "beta": 1.0, "max_detections": 100}),
    "matrix_nms": Method(matrix_nms, {"method": "gaussian", "sigma": 0.5, "minimum_score": 0.05}),
    "none": Method(keep_all, {}),
}
