"""Overlaps of boxes, in float64 and continuous coordinates."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def iou_matrix(boxes: NDArray[Any], other_boxes: NDArray[Any]) -> Array:
    """(N, M) intersection over union of (N, 4) and (M, 4) boxes, xyxy; 0 without intersection."""
    shared = intersections(boxes, other_boxes)
    union = areas(boxes)[:, None] + areas(other_boxes)[None, :] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0)


def covered_matrix(boxes: NDArray[Any], regions: NDArray[Any]) -> Array:
    """(N, M) share of each box inside each region, as COCO measures crowds."""
    shared = intersections(boxes, regions)
    box_areas = areas(boxes)[:, None]
    return np.divide(shared, box_areas, out=np.zeros_like(shared), where=shared > 0)


def intersections(boxes: NDArray[Any], other_boxes: NDArray[Any]) -> Array:
    """(N, M) areas that two boxes share."""
    first, second = boxes.astype(np.float64)[:, None], other_boxes.astype(np.float64)[None]
    low = np.maximum(first[..., :2], second[..., :2])
    high = np.minimum(first[..., 2:], second[..., 2:])
    shared: Array = (high - low).clip(min=0).prod(axis=-1)
    return shared


def areas(boxes: NDArray[Any]) -> Array:
    """(N,) width times height."""
    exact = boxes.astype(np.float64)
    products: Array = (exact[:, 2:] - exact[:, :2]).prod(axis=1)
    return products
