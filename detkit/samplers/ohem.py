"""Online hard example mining."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from detkit.registry import Fraction, PositiveInt, register
from detkit.samplers.balanced import choose_balanced


@register("sampler", "ohem")
class OnlineHardExamples:
    """The priors with the highest classification loss, positives and background, of each image.

    The paper ranks regions by their total loss, after suppressing overlapping ones. Here, as in
    later implementations, the classification loss ranks positives and background separately.

    Paper: Training Region-based Object Detectors with Online Hard Example Mining (Shrivastava et
        al., 2016), https://arxiv.org/abs/1604.03540

    Args:
        number: Priors sampled per image, fewer if an image has fewer.
        positive_fraction: Maximum share of positives. Background replaces missing positives;
            positives never replace missing background.
    """

    ranks_by: ClassVar = "losses"

    def __init__(self, *, number: PositiveInt = 512, positive_fraction: Fraction = 0.25) -> None:
        self.number = number
        self.positive_fraction = positive_fraction

    def __call__(self, matched: Tensor, values: Tensor) -> Tensor:
        """(B, P) and (B, P) to a mask (B, P)."""
        return choose_balanced(values, matched, self.number, self.positive_fraction)
