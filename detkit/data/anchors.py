"""Widths and heights of anchors that fit the boxes of a data set."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detkit.data.counting import counted
from detkit.errors import DataError
from detkit.structures import DatasetIndex

Sizes = NDArray[np.float64]  # (N, 2) widths and heights
RATIO = 4.0  # YOLOv5 matches a box and an anchor whose widths and heights differ by less
HALF = 0.5  # IoU from which RetinaNet and SSD match
_MOST_FITTED = 30_000  # boxes that are clustered; anchors are measured on all
_ROUNDS = 200
_BLOCK = 100_000  # boxes compared with all anchors at once


class AnchorFit(NamedTuple):
    """How well anchors fit boxes.

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
    kept = ~index.ignored
    boxes = index.boxes[kept].astype(np.float64)
    sizes: Sizes = (boxes[:, 2:] - boxes[:, :2]) * factors[owners[kept], None]
    return sizes[(sizes > 0).all(axis=1)]


def size_iou(boxes: Sizes, anchors: Sizes) -> NDArray[np.float64]:
    """(N, K) IoU of boxes and anchors at the same centre."""
    shared: NDArray[np.float64] = np.minimum(boxes[:, None], anchors).prod(axis=2)
    union: NDArray[np.float64] = boxes.prod(axis=1)[:, None] + anchors.prod(axis=1) - shared
    return shared / union


def measure_anchors(boxes: Sizes, anchors: Sizes) -> AnchorFit:
    """How well anchors (K, 2) fit boxes (N, 2); NaN without boxes."""
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


def fit_anchors(boxes: Sizes, count: int, *, seeds: int = 5) -> Sizes:
    """The best of several k-means clusterings with the distance 1 - IoU, (K, 2) by area.

    Paper: YOLO9000: Better, Faster, Stronger (Redmon and Farhadi, 2016), section 2,
        https://arxiv.org/abs/1612.08242

    Args:
        boxes: (N, 2).
        count: Anchors.
        seeds: Clusterings, each from other first anchors; that with the highest mean IoU is taken.

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
    fitted = boxes
    if len(boxes) > _MOST_FITTED:
        fitted = boxes[random.choice(len(boxes), _MOST_FITTED, replace=False)]
    found = [_cluster(fitted, count, np.random.default_rng(seed)) for seed in range(seeds)]
    best = max(found, key=lambda anchors: measure_anchors(fitted, anchors).mean_iou)
    return best[np.argsort(best.prod(axis=1), kind="stable")]


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
            mine = boxes[owners == anchor]
            # an anchor that no box is nearest to goes where boxes are served worst
            anchors[anchor] = mine.mean(axis=0) if len(mine) else boxes[ious.max(axis=1).argmin()]
    return anchors


def _first_anchors(boxes: Sizes, count: int, random: np.random.Generator) -> Sizes:
    """Boxes far from each other, as k-means++ draws them."""
    anchors = boxes[random.integers(len(boxes), size=1)]
    while len(anchors) < count:
        distance = (1 - size_iou(boxes, anchors).max(axis=1)).clip(0) ** 2
        total = distance.sum()
        shares = distance / total if total > 0 else None
        anchors = np.concatenate([anchors, boxes[random.choice(len(boxes), 1, p=shares)]])
    return anchors
