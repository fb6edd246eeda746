"""A box loss: one value for each pair of boxes, or of box codes."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from detkit import register
from detkit.registry import NonNegativeFloat, PositiveFloat


@register("loss", "my_loss")
class MyLoss(nn.Module):
    """Pseudo-Huber loss, a smooth L1: d * d / (2 beta) near 0, |d| - beta far away.

    Args:
        beta: The difference at which it changes from quadratic to linear.
        weight: Factor of this loss in the total.
    """

    # The inputs: decoded "boxes", "codes" that the head predicts, or "classes" (logits and labels);
    # see BoxLoss and ClassificationLoss in detkit/interfaces.py.
    space: ClassVar = "codes"

    def __init__(self, *, beta: PositiveFloat = 1.0, weight: NonNegativeFloat = 1.0) -> None:
        super().__init__()
        self.beta = beta
        self.weight = weight

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        """Turn (M, D) and (M, D) into (M,), neither weighted nor summed over boxes; M may be 0."""
        ratio = (predicted.float() - target.float()) / self.beta
        # sqrt(1 + r^2) - 1, rearranged to stay exact near 0
        square = ratio.square()
        return (self.beta * square / (1 + (1 + square).sqrt())).sum(dim=-1)
