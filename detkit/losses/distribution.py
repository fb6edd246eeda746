"""Losses on distributions of box sides."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from detkit.losses.precision import at_least_float32
from detkit.registry import NonNegativeFloat, register


@register("loss", "distribution_focal")
class DistributionFocalLoss(nn.Module):
    """Concentrates the distribution of each box side on the two bins around the true distance.

    Cross entropy with these two bins, weighted by nearness; mean over the four sides. Use it
    together with a loss on boxes, in a head with box coder `distribution`.

    Paper: Generalized Focal Loss (Li et al., 2020), https://arxiv.org/abs/2006.04388

    Args:
        weight: Factor of this loss in the total.
    """

    space: ClassVar = "distribution"

    def __init__(self, *, weight: NonNegativeFloat = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        """(M, 4 * bins) logits and (M, 4) distances in 0..bins-1 to (M,); equation 6."""
        bins = predicted.shape[-1] // 4
        sides = at_least_float32(predicted).reshape(*predicted.shape[:-1], 4, bins)
        logs = sides.log_softmax(dim=-1)
        target = at_least_float32(target)
        below = target.floor().clamp(max=bins - 2)  # the last bin has no bin above it
        nearness = target - below  # to the bin above
        index = below.long().unsqueeze(-1)
        log_below = logs.gather(-1, index).squeeze(-1)
        log_above = logs.gather(-1, index + 1).squeeze(-1)
        losses: Tensor = -((1 - nearness) * log_below + nearness * log_above)  # (M, 4)
        return losses.mean(dim=-1)
