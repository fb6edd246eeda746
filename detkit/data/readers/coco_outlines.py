"""Boxes of the outlines in COCO files, for annotations without a bbox."""

from __future__ import annotations

from typing import Any

import numpy as np
from pycocotools import mask

Box = tuple[float, float, float, float]  # x, y, width, height


def outline_box(segmentation: Any) -> Box | None:
    """The box around polygons, or around a mask in run-length encoding; None if there is none.

    Args:
        segmentation: Lists of x1, y1, x2, y2, ..., or one such list, or an object with `counts`
            (a list, or the compressed text) and `size`.
    """
    try:
        if isinstance(segmentation, dict):
            return _mask_box(segmentation["counts"], segmentation["size"])
        return _polygon_box(segmentation)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _polygon_box(polygons: Any) -> Box | None:
    flat = bool(polygons) and not isinstance(polygons[0], list)
    points = [number for polygon in ([polygons] if flat else polygons) for number in polygon]
    corners = np.array(points, dtype=np.float64).reshape(-1, 2)
    if not len(corners) or not np.isfinite(corners).all():
        return None
    (x1, y1), (x2, y2) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    return x1, y1, x2 - x1, y2 - y1


def _mask_box(counts: Any, size: Any) -> Box | None:
    height, width = (int(length) for length in size)
    if height <= 0 or width <= 0:
        return None
    if isinstance(counts, str):
        encoded = {"counts": counts.encode("ascii"), "size": [height, width]}
    else:
        encoded = mask.frPyObjects({"counts": counts, "size": [height, width]}, height, width)
    x, y, box_width, box_height = mask.toBbox(encoded).tolist()
    return (x, y, box_width, box_height) if box_width > 0 and box_height > 0 else None
