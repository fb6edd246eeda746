"""What post-processors share."""

from __future__ import annotations

import torch
from torch import Tensor

from detkit.structures import Detections


def groups_of(labels: Tensor, class_agnostic: bool) -> Tensor:
    """(M,) numbers that are equal for candidates that may suppress each other."""
    return torch.zeros_like(labels) if class_agnostic else labels


def best_first(
    boxes: Tensor, scores: Tensor, labels: Tensor, minimum: float, limit: int
) -> Detections:
    """The candidates with scores above a minimum, best first, at most so many."""
    values, order = scores.sort(descending=True, stable=True)
    kept = order[values > minimum][:limit]
    return Detections(boxes[kept], scores[kept], labels[kept])
