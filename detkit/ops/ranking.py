"""Rank candidates and keep the best."""

from __future__ import annotations

import torch
from torch import Tensor

from detkit.structures import PaddedDetections


def ranked(scores: Tensor, limit: int | None = None) -> tuple[Tensor, Tensor]:
    """The `limit` best scores of (B, K) and their indices; of equal ones, the first come first."""
    if torch.compiler.is_compiling():  # ONNX has no stable sort, but its TopK is stable
        count = scores.shape[1]
        values, order = scores.topk(count if limit is None else torch.sym_min(limit, count), dim=1)
    else:
        values, order = scores.sort(dim=1, descending=True, stable=True)
    return values[:, :limit], order[:, :limit]


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
    scores, order = ranked(scores, limit)
    exists = scores > 0
    return PaddedDetections(
        boxes=torch.where(
            exists[..., None], boxes.gather(1, order[..., None].expand(-1, -1, 4)), 0
        ),
        scores=scores,
        labels=torch.where(exists, labels.gather(1, order), 0),
        counts=exists.sum(dim=1),
    )
