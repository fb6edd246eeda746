"""Losses on box codes."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from detkit.losses.precision import at_least_float32
from detkit.registry import NonNegativeFloat, register


@register("loss", "l1")
class L1Loss(nn.Module):
    """Sum of the absolute differences of the codes of a box.

    Args:
        weight: Factor of this loss in the sum.
    """

    space: ClassVar = "codes"

    def __init__(self, *, weight: NonNegativeFloat = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        """(M, D) and (M, D) to (M,)."""
        return (at_least_float32(predicted) - at_least_float32(target)).abs().sum(dim=-1)


@register("loss", "smooth_l1")
class SmoothL1Loss(nn.Module):
    """Sum over the codes of a loss that is quadratic near 0 and absolute beyond.

    Paper: Fast R-CNN (Girshick, 2015), equation 3, https://arxiv.org/abs/1504.08083

    Args:
        beta: Difference at which it turns from quadratic to absolute; 0 is the L1 loss.
        weight: Factor of this loss in the sum.
    """

    space: ClassVar = "codes"

    def __init__(self, *, beta: NonNegativeFloat = 1 / 9, weight: NonNegativeFloat = 1.0) -> None:
        super().__init__()
        self.beta = beta
        self.weight = weight

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        """(M, D) and (M, D) to (M,)."""
        predicted, target = at_least_float32(predicted), at_least_float32(target)
        return F.smooth_l1_loss(predicted, target, reduction="none", beta=self.beta).sum(dim=-1)
