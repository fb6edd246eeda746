"""Cross entropy over classes that exclude each other."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from detkit.losses.precision import at_least_float32
from detkit.registry import NonNegativeFloat, register


@register("loss", "cross_entropy")
class CrossEntropy(nn.Module):
    """Softmax cross entropy over the classes and background, which is the last logit.

    A soft target t of the object's class leaves 1 - t to background.

    Args:
        weight: Factor of this loss in the sum.
    """

    space: ClassVar = "classes"
    activation: ClassVar = "softmax"

    def __init__(self, *, weight: NonNegativeFloat = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, logits: Tensor, labels: Tensor, scores: Tensor | None = None) -> Tensor:
        """(..., C + 1) logits and (...) labels to (...) losses."""
        logs = at_least_float32(logits).log_softmax(dim=-1)
        background = logs[..., -1]
        chosen = logs.gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        target = torch.ones_like(chosen) if scores is None else at_least_float32(scores)
        target = target * (labels >= 0)
        return -(target * chosen + (1 - target) * background)
