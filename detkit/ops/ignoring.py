"""Exclude crowd and difficult objects from positives and negatives."""

from __future__ import annotations

import torch
from torch import Tensor

from detkit.ops.boxes import share_inside
from detkit.ops.chunks import row_chunks
from detkit.structures import BACKGROUND, IGNORED, PaddedTargets, Priors


def mark_ignored(
    matched: Tensor, priors: Priors, targets: PaddedTargets, share: float = 0.5
) -> Tensor:
    """Mark background priors inside an ignored object as ignored.

    Args:
        matched: (B, P) as in Assignment.
        priors: The P priors of each image.
        targets: The objects of each image.
        share: Minimum share of a prior's area inside the object; above 0.
    """
    if targets.ignored_boxes.shape[1] == 0:
        return matched
    inside = torch.zeros_like(matched, dtype=torch.bool)
    for chunk in row_chunks(targets.ignored_boxes.shape[1], matched.numel()):
        ignored = targets.ignored_boxes[:, chunk]  # (B, m, 4); nothing is inside the padding
        inside |= (share_inside(priors.boxes, ignored) >= share).any(dim=-1)
    return matched.masked_fill(inside & (matched == BACKGROUND), IGNORED)
