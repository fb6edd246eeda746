"""Losses on box codes."""

from __future__ import annotations

import math
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional as F

from detkit.losses.precision import at_least_float32
from detkit.registry import NonNegativeFloat, PositiveFloat, register


@register("loss", "l1")
class L1Loss(nn.Module):
    """Sum of the absolute differences of box codes.

    Args:
        weight: Factor of this loss in the total.
    """

    space: ClassVar = "codes"

    def __init__(self, *, weight: NonNegativeFloat = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        """(M, D) and (M, D) to (M,)."""
        return (at_least_float32(predicted) - at_least_float32(target)).abs().sum(dim=-1)


@register("loss", "mse")
class MSELoss(nn.Module):
    """Sum of the squared differences of box codes.

    Args:
        weight: Factor of this loss in the total.
    """

    space: ClassVar = "codes"

    def __init__(self, *, weight: NonNegativeFloat = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        """(M, D) and (M, D) to (M,)."""
        return (at_least_float32(predicted) - at_least_float32(target)).square().sum(dim=-1)


@register("loss", "smooth_l1")
class SmoothL1Loss(nn.Module):
    """Smooth L1 over box codes: quadratic near 0, linear beyond.

    Paper: Fast R-CNN (Girshick, 2015), equation 3, https://arxiv.org/abs/1504.08083

    Args:
        beta: Difference at which the loss turns from quadratic to linear; 0 is the L1 loss.
        weight: Factor of this loss in the total.
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


@register("loss", "balanced_l1")
class BalancedL1Loss(nn.Module):
    """Smoothed L1 with larger gradients for small differences and capped ones for large.

    With b = exp(gamma / alpha) - 1, the slope is alpha * ln(b * |d| / beta + 1) up to beta and
    gamma beyond. The paper uses beta 1; another beta scales both axes and keeps the slope.

    Paper: Libra R-CNN: Towards Balanced Learning for Object Detection (Pang et al., 2019), section
        3.3, https://arxiv.org/abs/1904.02701

    Args:
        alpha: Smaller values give small differences more weight.
        gamma: Slope of large differences.
        beta: Difference at which the loss becomes linear.
        weight: Factor of this loss in the total.
    """

    space: ClassVar = "codes"

    def __init__(
        self,
        *,
        alpha: PositiveFloat = 0.5,
        gamma: PositiveFloat = 1.5,
        beta: PositiveFloat = 1.0,
        weight: NonNegativeFloat = 1.0,
    ) -> None:
        super().__init__()
        self.alpha = alpha
        self.gamma = gamma
        self.beta = beta
        self.weight = weight

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        """(M, D) and (M, D) to (M,)."""
        difference = (at_least_float32(predicted) - at_least_float32(target)).abs()
        factor = math.expm1(self.gamma / self.alpha)  # b
        curved = difference.clamp(max=self.beta)
        inner = factor * curved / self.beta
        losses = self.alpha * (self.beta / factor * (inner + 1) * inner.log1p() - curved)
        return (losses + self.gamma * (difference - curved)).sum(dim=-1)
