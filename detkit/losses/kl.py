"""The KL loss of boxes with a predicted variance."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from detkit.losses.precision import at_least_float32
from detkit.ops.variances import LARGEST_LOG_VARIANCE
from detkit.registry import NonNegativeFloat, register


@register("loss", "kl")
class KLLoss(nn.Module):
    """KL divergence between an object's box and a predicted Gaussian for each side.

    For a difference d and a log variance a, the loss is exp(-a) * smooth_l1(d) + a / 2 (equations 9
    and 10): a side that is hard to predict gets a large variance, which weakens its gradient.
    Variances are clamped to exp(-10)..exp(10), which the paper does not do.

    Paper: Bounding Box Regression with Uncertainty for Accurate Object Detection (He et al., 2019),
        section 3.2, https://arxiv.org/abs/1809.08545

    Args:
        weight: Factor of this loss in the total.
    """

    space: ClassVar = "gaussian"

    def __init__(self, *, weight: NonNegativeFloat = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        """(M, 8) and (M, 8), whose variances are not used, to (M,)."""
        predicted, target = at_least_float32(predicted), at_least_float32(target)
        codes, logarithms = torch.split(predicted, 4, dim=-1)
        logarithms = logarithms.clamp(-LARGEST_LOG_VARIANCE, LARGEST_LOG_VARIANCE)
        distance = F.smooth_l1_loss(codes, target[..., :4], reduction="none", beta=1.0)
        losses: Tensor = ((-logarithms).exp() * distance + logarithms / 2).sum(dim=-1)
        return losses
