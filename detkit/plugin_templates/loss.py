"""A box loss: one value for each pair of boxes, or of box codes."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from detkit import register
from detkit.registry import NonNegativeFloat, PositiveFloat


@register("loss", "my_loss")
class MyLoss(nn.Module):
    """Smooth L1 without a seam (pseudo-Huber): d * d / (2 beta) near 0, |d| - beta far away.

    Args:
        beta: Difference around which it turns from quadratic to absolute.
        weight: Factor of this loss in the sum.
    """

    # "boxes" is given decoded boxes, "codes" the numbers that the head predicts, "classes" logits
    # and labels; see BoxLoss and ClassificationLoss in detkit/interfaces.py.
    space: ClassVar = "codes"

    def __init__(self, *, beta: PositiveFloat = 1.0, weight: NonNegativeFloat = 1.0) -> None:
        super().__init__()
        self.beta = beta
        self.weight = weight

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        """(M, D) and (M, D) to (M,), not weighted and not summed over boxes; M may be 0."""
        ratio = (predicted.float() - target.float()) / self.beta
        # sqrt(1 + r^2) - 1, in a form that keeps its digits near 0
        square = ratio.square()
        return (self.beta * square / (1 + (1 + square).sqrt())).sum(dim=-1)
