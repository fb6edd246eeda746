"""What is odd about the boxes of a batch: what a loss can stumble over."""

from __future__ import annotations

import math
from typing import NamedTuple

from detkit.structures import Batch

THINNEST = 1.0  # pixels; below it log-scale codes and IoU gradients grow without bound
LONGEST = 50.0  # times longer than wide
_OUTSIDE = 0.5  # pixels over the edge that rounding explains


class Suspicion(NamedTuple):
    """One object of a batch that deserves a look.

    Attributes:
        path: The file of its image.
        label: Its label.
        box: In the coordinates of the batch's image.
        reason: What is odd about it.
    """

    path: str
    label: int
    box: tuple[float, float, float, float]
    reason: str


def suspicious(batch: Batch, num_classes: int) -> list[Suspicion]:
    """The odd objects of a batch, image by image."""
    found = []
    for path, target, size in zip(batch.paths, batch.targets, batch.image_sizes, strict=True):
        rows = zip(target.boxes.tolist(), target.labels.tolist(), strict=True)
        for box, label in rows:
            reason = _reason(box, label, size, num_classes)
            if reason is not None:
                found.append(Suspicion(path, label, tuple(box), reason))
    return found


def _reason(box: list[float], label: int, size: tuple[int, int], num_classes: int) -> str | None:
    if not 0 <= label < num_classes:
        return f"label {label} is none of 0 to {num_classes - 1}"
    if not all(map(math.isfinite, box)):
        return "not finite"
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    over = max(-left, -top, right - size[1], bottom - size[0])
    reasons = {
        "without area": width <= 0 or height <= 0,
        f"reaches outside the image of {size[1]} x {size[0]}": over > _OUTSIDE,
        f"thinner than {THINNEST:g} pixel": min(width, height) < THINNEST,
        f"more than {LONGEST:g} times as long as wide": max(width, height)
        > LONGEST * min(width, height),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)
