"""Crowd and difficult objects: no positives, and no negatives either."""

from __future__ import annotations

from torch import Tensor

from detkit.ops.boxes import share_inside
from detkit.structures import BACKGROUND, IGNORED, Priors, Target


def mark_ignored(matched: Tensor, priors: Priors, target: Target, share: float = 0.5) -> Tensor:
    """Background priors that lie in an ignored object become ignored.

    Args:
        matched: (P,) as in Assignment.
        priors: The P priors.
        target: All objects of the image.
        share: Of a prior's area that has to lie in the object.
    """
    if not target.ignored.any():
        return matched
    inside = share_inside(priors.boxes, target.boxes[target.ignored]).amax(dim=1) >= share
    return matched.masked_fill(inside & (matched == BACKGROUND), IGNORED)
