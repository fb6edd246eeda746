"""Losses on the distributions that a box is the mean of."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from detkit.losses.precision import at_least_float32
from detkit.registry import NonNegativeFloat, register


@register("loss", "distribution_focal")
class DistributionFocalLoss(nn.Module):
    """Gathers the distribution of each side of a box at the two distances beside the true one.

    Cross entropy with these two, each by its nearness, mean over the four sides. Stands beside a
    loss on boxes, in a head whose box coder is `distribution`.

    Paper: Generalized Focal Loss (Li et al., 2020), https://arxiv.org/abs/2006.04388

    Args:
        weight: Factor of this loss in the sum.
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
        below = target.floor().clamp(max=bins - 2)  # the last distance has none above
        nearness = target - below  # to the distance above
        index = below.long().unsqueeze(-1)
        log_below = logs.gather(-1, index).squeeze(-1)
        log_above = logs.gather(-1, index + 1).squeeze(-1)
        losses: Tensor = -((1 - nearness) * log_below + nearness * log_above)  # (M, 4)
        return losses.mean(dim=-1)
