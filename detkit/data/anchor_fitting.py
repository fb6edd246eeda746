"""Widths and heights of anchors that fit the boxes of a data set."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detkit.errors import DataError
from detkit.structures import DatasetIndex
from detkit.text import counted

Sizes = NDArray[np.float64]  # (N, 2) widths and heights
RATIO = 4.0  # YOLOv5 matches a box and an anchor whose widths and heights differ by less
HALF = 0.5  # IoU from which RetinaNet and SSD match
_MOST_FITTED = 5_000  # boxes that anchors are fitted to; they are measured on all
_ROUNDS = 50
_ASCENTS = 4  # clusterings to improve; improving all of them rarely gains more
_STEPS, _RATE = 80, 0.05  # of the gradient ascent; the rate falls to 0
_BLOCK = 100_000  # boxes compared with all anchors at once


class AnchorFit(NamedTuple):
    """Statistics of the fit between anchors and boxes.

    Attributes:
        mean_iou: Mean over boxes of the IoU with the best anchor, both at the same centre.
        half: Share of the boxes with such an IoU of 0.5 or more.
        recall: Share of the boxes with an anchor whose width and height both differ by a factor
            below 4: the best possible recall of YOLOv5's assignment.
    """

    mean_iou: float
    half: float
    recall: float


def box_sizes(index: DatasetIndex, factors: NDArray[np.float64]) -> Sizes:
    """(M, 2) widths and heights of an index's objects, without ignored ones.

    Args:
        index: Images and objects.
        factors: (N,) by which each image is resized.
    """
    owners = np.repeat(np.arange(len(index)), np.diff(index.object_offsets))
    counts = ~index.ignored
    boxes = index.boxes[counts].astype(np.float64)
    sizes: Sizes = (boxes[:, 2:] - boxes[:, :2]) * factors[owners[counts], None]
    return sizes[(sizes > 0).all(axis=1)]


def size_iou(boxes: Sizes, anchors: Sizes) -> NDArray[np.float64]:
    """(N, K) IoU of boxes and anchors at the same centre."""
    widths, heights = (np.minimum(boxes[:, None, side], anchors[:, side]) for side in (0, 1))
    shared: NDArray[np.float64] = widths * heights
    union: NDArray[np.float64] = boxes.prod(axis=1)[:, None] + anchors.prod(axis=1) - shared
    return shared / union


def measure_anchors(boxes: Sizes, anchors: Sizes) -> AnchorFit:
    """Measure the fit of anchors (K, 2) to boxes (N, 2); NaN without boxes."""
    best, within = [], []
    for start in range(0, len(boxes), _BLOCK):
        block = boxes[start : start + _BLOCK]
        best.append(size_iou(block, anchors).max(axis=1))
        factors = block[:, None] / anchors
        within.append(np.maximum(factors, 1 / factors).max(axis=2).min(axis=1) < RATIO)
    if not best:
        return AnchorFit(np.nan, np.nan, np.nan)
    ious = np.concatenate(best)
    return AnchorFit(
        float(ious.mean()), float((ious >= HALF).mean()), float(np.concatenate(within).mean())
    )


def fit_anchors(boxes: Sizes, count: int, *, seeds: int = 10) -> Sizes:
    """Anchors with a high mean IoU, (K, 2) by area: the best of several starts.

    Each start is a k-means clustering with the distance 1 - IoU. Gradient ascent on the mean IoU
    then improves the best ones. A cluster's anchor is the median of its widths and heights. The
    paper takes the mean, which the few largest boxes dominate: for 2,000 log-normal sizes, the mean
    IoU of 9 anchors is .564 with means, .614 with medians and .618 after the ascent.

    Paper: YOLO9000: Better, Faster, Stronger (Redmon and Farhadi, 2016), section 2,
        https://arxiv.org/abs/1612.08242

    Args:
        boxes: (N, 2).
        count: Anchors.
        seeds: Starts, each from different first anchors; the one with the highest mean IoU wins.

    Raises:
        DataError: There are fewer different boxes than anchors.
    """
    different = len(np.unique(boxes, axis=0))
    if different < count:
        raise DataError(
            f"{counted(len(boxes), 'box')} of {counted(different, 'different size')} do not make "
            f"{count} anchors: ask for fewer with count=N."
        )
    random = np.random.default_rng(0)
    sample = boxes
    if len(boxes) > _MOST_FITTED:
        sample = boxes[random.choice(len(boxes), _MOST_FITTED, replace=False)]
    starts = [_cluster(sample, count, np.random.default_rng(seed)) for seed in range(seeds)]
    starts.sort(key=lambda anchors: -_mean_iou(sample, anchors))
    risen = [_ascend(sample, anchors) for anchors in starts[:_ASCENTS]]
    best = max(risen, key=lambda anchors: _mean_iou(sample, anchors))
    return best[np.argsort(best.prod(axis=1), kind="stable")]


def _mean_iou(boxes: Sizes, anchors: Sizes) -> float:
    return float(size_iou(boxes, anchors).max(axis=1).mean())


def _cluster(boxes: Sizes, count: int, random: np.random.Generator) -> Sizes:
    """One clustering, until no box changes its anchor."""
    anchors = _first_anchors(boxes, count, random)
    owners = np.full(len(boxes), -1)
    for _ in range(_ROUNDS):
        ious = size_iou(boxes, anchors)
        nearest = ious.argmax(axis=1)
        if (nearest == owners).all():
            break
        owners = nearest
        for anchor in range(count):
            members = boxes[owners == anchor]
            # an anchor that no box is nearest to moves to the box with the lowest IoU
            empty = boxes[ious.max(axis=1).argmin()]
            anchors[anchor] = np.median(members, axis=0) if len(members) else empty
    return anchors


def _ascend(boxes: Sizes, anchors: Sizes) -> Sizes:
    """Raise the mean IoU with the nearest anchor by Adam on the logarithms of the sizes.

    Returns:
        The best anchors of all steps, so never worse than the first ones.
    """
    logarithms, best, highest = np.log(anchors), anchors, -1.0
    mean, square = np.zeros_like(logarithms), np.zeros_like(logarithms)
    for step in range(1, _STEPS + 1):
        ious = size_iou(boxes, anchors)
        if (reached := float(ious.max(axis=1).mean())) > highest:
            highest, best = reached, anchors
        slope = _slope(boxes, anchors, ious.argmax(axis=1))
        mean = 0.9 * mean + 0.1 * slope
        square = 0.99 * square + 0.01 * slope**2
        unbiased = np.sqrt(square / (1 - 0.99**step)) + 1e-9
        rate = _RATE * (1 - step / _STEPS)
        logarithms = logarithms + rate * mean / (1 - 0.9**step) / unbiased
        anchors = np.exp(logarithms)
    return best


def _slope(boxes: Sizes, anchors: Sizes, owners: NDArray[np.int64]) -> Sizes:
    """(K, 2) how the mean IoU of each anchor's boxes rises with the logarithms of its sides."""
    nearest = anchors[owners]
    shared = np.minimum(boxes, nearest).prod(axis=1)[:, None]
    area = nearest.prod(axis=1)[:, None]
    union = boxes.prod(axis=1)[:, None] + area - shared
    # d shared = shared for a side below the box's, else 0; d area = area
    rise = np.where(nearest < boxes, shared * (union + shared), 0) - shared * area
    rise /= union**2
    counts = np.bincount(owners, minlength=len(anchors)).clip(1)
    sums = [np.bincount(owners, rise[:, side], minlength=len(anchors)) for side in (0, 1)]
    return np.stack([side_sum / counts for side_sum in sums], axis=1)


def _first_anchors(boxes: Sizes, count: int, random: np.random.Generator) -> Sizes:
    """Boxes far from each other, as k-means++ draws them."""
    anchors = boxes[random.integers(len(boxes), size=1)]
    while len(anchors) < count:
        distance = (1 - size_iou(boxes, anchors).max(axis=1)).clip(0) ** 2
        total = distance.sum()
        shares = distance / total if total > 0 else None
        anchors = np.concatenate([anchors, boxes[random.choice(len(boxes), 1, p=shares)]])
    return anchors
