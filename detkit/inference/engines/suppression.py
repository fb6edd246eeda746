"""Non-maximum suppression in NumPy, for files that were exported with `nms=false`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.errors import UserError
from detkit.inference.engines.contract import RawArrays
from detkit.structures.arrays import DetectionArrays
from detkit.structures.exported import ExportedModel

_KEYS = ("score_threshold", "iou_threshold", "max_detections", "class_agnostic")


def require_numpy_postprocess(model: ExportedModel, source: str) -> None:
    """Refuse a file without post-processing whose run uses one that is not written in NumPy.

    Raises:
        UserError: It is another one than `nms`.
    """
    node = model.postprocess or {}
    if model.nms or has_numpy_form(node):
        return
    name = node.get("name", "none")
    raise UserError(
        f"{source}: was exported with nms=false, and detkit runs post-processing '{name}' only in "
        "PyTorch: export the file with nms=true."
    )


def has_numpy_form(node: Mapping[str, Any]) -> bool:
    """Whether `suppress` does what this post-processing does."""
    return node.get("name") == "nms" and set(_KEYS) <= node.keys()


def suppress(raw: RawArrays, node: Mapping[str, Any]) -> list[DetectionArrays]:
    """Post-process as `nms` does, image by image, best detections first.

    The limit `max_candidates`, which holds for each feature level, is left out: a graph's outputs
    do not tell levels apart. It makes a difference only where a level has more candidates than
    that and fewer than `max_detections` boxes remain.

    Args:
        raw: Boxes (B, P, 4) and scores (B, P, C).
        node: The configuration of `nms`.
    """
    results = []
    for boxes, scores in zip(*raw, strict=True):
        prior, label = np.nonzero(scores > node["score_threshold"])
        values = scores[prior, label]
        order = np.argsort(-values, kind="stable")
        candidates = DetectionArrays(boxes[prior[order]], values[order], label[order])
        groups = np.zeros_like(candidates.labels) if node["class_agnostic"] else candidates.labels
        most, iou_threshold = node["max_detections"], node["iou_threshold"]
        positions = _unsuppressed(candidates.boxes, groups, iou_threshold, most)
        results.append(candidates.select(positions))
    return results


def _unsuppressed(
    boxes: NDArray[np.float32], groups: NDArray[np.int64], iou_threshold: float, most: int
) -> NDArray[np.int64]:
    """Positions of the first boxes that no better box of their group suppresses."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    remaining = np.arange(len(boxes))
    positions: list[int] = []
    while len(remaining) and len(positions) < most:
        best, rivals = remaining[0], remaining[1:]
        positions.append(int(best))
        low = np.maximum(boxes[best, :2], boxes[rivals, :2])
        high = np.minimum(boxes[best, 2:], boxes[rivals, 2:])
        shared = np.prod(np.maximum(high - low, 0), axis=1)
        union = areas[best] + areas[rivals] - shared
        # boxes without area do not suppress each other
        overlaps = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
        overlaps = overlaps.astype(np.float64)  # torchvision compares with a float64 threshold
        remaining = rivals[(groups[rivals] != groups[best]) | (overlaps <= iou_threshold)]
    return np.array(positions, np.int64)
