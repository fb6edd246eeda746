"""Rank candidates and keep the best."""

from __future__ import annotations

import torch
from torch import Tensor

from detkit.ops.rows import take_rows
from detkit.structures import PaddedDetections


def best_first(
    boxes: Tensor, scores: Tensor, labels: Tensor, minimum: float, limit: int
) -> PaddedDetections:
    """Up to `limit` candidates of each image with scores above `minimum`, best first.

    Args:
        boxes: (B, K, 4).
        scores: (B, K).
        labels: (B, K).
        minimum: Scores must be above it.
        limit: The most in one image.
    """
    scores = torch.where(scores > minimum, scores, 0)
    scores, order = scores.sort(dim=1, descending=True, stable=True)
    scores, order = scores[:, :limit], order[:, :limit]
    exists = scores > 0
    return PaddedDetections(
        boxes=torch.where(exists[..., None], take_rows(boxes, order), 0),
        scores=scores,
        labels=torch.where(exists, labels.gather(1, order), 0),
        counts=exists.sum(dim=1),
    )
