"""Binary cross entropy."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from detkit.losses.labels import split_at_label
from detkit.losses.precision import at_least_float32
from detkit.registry import NonNegativeFloat, register


@register("loss", "bce")
class BinaryCrossEntropy(nn.Module):
    """Binary cross entropy of each class by itself; also for quality, with soft targets.

    Args:
        weight: Factor of this loss in the sum.
    """

    space: ClassVar = "classes"
    activation: ClassVar = "sigmoid"

    def __init__(self, *, weight: NonNegativeFloat = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, logits: Tensor, labels: Tensor, scores: Tensor | None = None) -> Tensor:
        """(..., C) logits and (...) labels to (...) losses, summed over classes."""
        others, chosen = split_at_label(at_least_float32(logits), labels, 0.0)
        target = torch.ones_like(chosen) if scores is None else scores.to(chosen)
        of_object = F.binary_cross_entropy_with_logits(chosen, target, reduction="none")
        return others + torch.where(labels >= 0, of_object, 0)
