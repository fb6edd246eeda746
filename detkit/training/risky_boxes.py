"""Find boxes in a batch that may break a loss."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from detkit.structures import Batch

THINNEST = 1.0  # pixels; below it log-scale codes and IoU gradients grow without bound
LONGEST = 50.0  # times longer than wide
_OUTSIDE = 1.0  # pixels beyond the edge that rounding explains


class RiskyBox(NamedTuple):
    """An object of a batch that may break a loss.

    Attributes:
        path: The file of its image.
        label: Its label.
        box: Its box in the coordinates of the batch's image.
        reason: What is unusual about it.
        out_of_range: Whether training on it is impossible.
    """

    path: str
    label: int
    box: tuple[float, float, float, float]
    reason: str
    out_of_range: bool


def in_range(batch: Batch, num_classes: int) -> bool:
    """Whether all labels are classes and all boxes are finite, in order and inside their image."""
    targets = batch.targets
    boxes = torch.cat([targets.boxes, targets.ignored_boxes], dim=1)
    low, high = boxes[..., :2], boxes[..., 2:]
    sizes = batch.size_tensor.flip(1)[:, None]
    inside = (low >= -_OUTSIDE) & (high >= low) & (high <= sizes + _OUTSIDE)  # NaN is not
    is_box = torch.cat([targets.mask, targets.ignored_mask], dim=1)
    has_class = (targets.labels >= 0) & (targets.labels < num_classes)
    return bool((inside.all(dim=-1) | ~is_box).all() & (has_class | ~targets.mask).all())


def risky_boxes(batch: Batch, num_classes: int) -> list[RiskyBox]:
    """The unusual objects of a batch, out-of-range ones first."""
    result = []
    images = zip(batch.paths, batch.targets.split(), batch.image_sizes, strict=True)
    for path, target, size in images:
        rows = zip(target.boxes.tolist(), target.labels.tolist(), strict=True)
        for box, label in rows:
            reason = _out_of_range(box, label, size, num_classes)
            odd = reason or _odd(box)
            if odd is not None:
                result.append(RiskyBox(path, label, tuple(box), odd, reason is not None))
    return sorted(result, key=lambda risky_box: not risky_box.out_of_range)


def _out_of_range(
    box: list[float], label: int, size: tuple[int, int], num_classes: int
) -> str | None:
    if not 0 <= label < num_classes:
        return f"label {label} is not in 0..{num_classes - 1}"
    if not all(map(math.isfinite, box)):
        return "not finite"
    x1, y1, x2, y2 = box
    if x2 < x1 or y2 < y1:
        return "its corners are not in order"
    if max(-x1, -y1, x2 - size[1], y2 - size[0]) > _OUTSIDE:
        return f"reaches outside the image of {size[1]} x {size[0]}"
    return None


def _odd(box: list[float]) -> str | None:
    short, long = sorted((box[2] - box[0], box[3] - box[1]))
    if short == 0:
        return "without area"
    if short < THINNEST:
        return f"thinner than {THINNEST:g} pixel"
    return f"more than {LONGEST:g} times as long as wide" if long > LONGEST * short else None
