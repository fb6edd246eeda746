"""Binary cross entropy."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from detkit.losses.labels import at_label
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
        logits = at_least_float32(logits)
        chosen, has_class = at_label(logits, labels)
        target = has_class if scores is None else at_least_float32(scores) * has_class
        # -t log(p) - (1 - t) log(1 - p) is softplus(x) - t x.
        return F.softplus(logits).sum(dim=-1) - target * chosen
