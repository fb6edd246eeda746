"""Grouping and ranking that post-processors share."""

from __future__ import annotations

import torch
from torch import Tensor

from detkit.structures import Detections


def groups_of(labels: Tensor, class_agnostic: bool) -> Tensor:
    """(M,) group numbers; only candidates of the same group suppress each other."""
    return torch.zeros_like(labels) if class_agnostic else labels


def best_first(
    boxes: Tensor, scores: Tensor, labels: Tensor, minimum: float, limit: int
) -> Detections:
    """Up to `limit` candidates with scores above `minimum`, best first."""
    values, order = scores.sort(descending=True, stable=True)
    best = order[values > minimum][:limit]
    return Detections(boxes[best], scores[best], labels[best])
