"""Focal loss for soft targets."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from detkit.losses.labels import split_at_label
from detkit.losses.precision import at_least_float32
from detkit.registry import NonNegativeFloat, register


@register("loss", "quality_focal")
class QualityFocalLoss(nn.Module):
    """Cross entropy with soft targets that fades as the score approaches its target.

    The target of an object's class is the quality of the box there: assigner `task_aligned`
    provides it, other assigners leave it at 1. Scores then rank detections by box quality too.

    Paper: Generalized Focal Loss (Li et al., 2020), https://arxiv.org/abs/2006.04388

    Args:
        beta: How fast the loss fades near the target; 0 is cross entropy.
        weight: Factor of this loss in the total.
    """

    space: ClassVar = "classes"
    activation: ClassVar = "sigmoid"
    normalised: ClassVar = False

    def __init__(self, *, beta: NonNegativeFloat = 2.0, weight: NonNegativeFloat = 1.0) -> None:
        super().__init__()
        self.beta = beta
        self.weight = weight

    def forward(self, logits: Tensor, labels: Tensor, scores: Tensor | None = None) -> Tensor:
        """(..., C) logits and (...) labels to (...) losses, summed over classes; equation 2."""
        logits = at_least_float32(logits)
        absent_losses, label_logits = split_at_label(logits, labels, self.beta)
        target = torch.ones_like(label_logits) if scores is None else scores.to(label_logits)
        # At distance 0, the gradient of a power below 1 would be infinite.
        distance = (target - label_logits.sigmoid()).abs().clamp(min=1e-30)
        entropy = F.binary_cross_entropy_with_logits(label_logits, target, reduction="none")
        return absent_losses + torch.where(labels >= 0, distance**self.beta * entropy, 0)
