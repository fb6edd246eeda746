"""Exclude crowd and difficult objects from positives and negatives."""

from __future__ import annotations

import torch
from torch import Tensor

from detkit.ops.boxes import share_inside
from detkit.ops.chunks import row_chunks
from detkit.structures import BACKGROUND, IGNORED, Priors, Target


def mark_ignored(matched: Tensor, priors: Priors, target: Target, share: float = 0.5) -> Tensor:
    """Mark background priors inside an ignored object as ignored.

    Args:
        matched: (P,) as in Assignment.
        priors: The P priors.
        target: All objects of the image.
        share: Minimum share of a prior's area inside the object.
    """
    if not target.ignored.any():
        return matched
    ignored = target.boxes[target.ignored]
    inside = torch.zeros_like(matched, dtype=torch.bool)
    for chunk in row_chunks(len(ignored), len(matched)):
        inside |= (share_inside(priors.boxes, ignored[chunk]) >= share).any(dim=1)
    return matched.masked_fill(inside & (matched == BACKGROUND), IGNORED)
