"""DenseBox's sampler: all positives, hard background and random background."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from detkit.registry import Fraction, NonNegativeFloat, NonNegativeInt, register
from detkit.samplers.ranking import highest
from detkit.structures import BACKGROUND


@register("sampler", "hard_and_random")
class HardAndRandom:
    """All positives of an image, and as much background: half of it hard, half of it random.

    Hard are the background priors with the highest losses, as many as a hundredth of all priors.
    The hard half is drawn from them at random, the other half from all other background. If there
    is too little of one kind, the other kind replaces it. The paper samples no background from an
    image without objects; here such an image contributes `minimum` priors. It uses torch's global
    generator, whose state is in every checkpoint.

    Paper: DenseBox: Unifying Landmark Localization with End to End Object Detection (Huang et al.,
        2015), section 3.3, https://arxiv.org/abs/1509.04874

    Args:
        ratio: Background priors per positive of the image, rounded down.
        minimum: Minimum number of background priors per image, if it has as many.
        hard_share: Number of hard background priors, as a share of all priors; rounded up.
        hard_fraction: Share of the sampled background that is hard, rounded down.
    """

    ranks_by: ClassVar = "losses"

    def __init__(
        self,
        *,
        ratio: NonNegativeFloat = 1.0,
        minimum: NonNegativeInt = 16,
        hard_share: Fraction = 0.01,
        hard_fraction: Fraction = 0.5,
    ) -> None:
        self.ratio = ratio
        self.minimum = minimum
        self.hard_share = hard_share
        self.hard_fraction = hard_fraction

    def __call__(self, matched: Tensor, values: Tensor) -> Tensor:
        """(B, P) and losses (B, P) to a mask (B, P)."""
        positive, background = matched >= 0, matched == BACKGROUND
        priors = matched.shape[1]
        counts = (positive.sum(dim=1) * self.ratio).long().clamp(min=self.minimum)  # (B,)
        limit = math.ceil(self.hard_share * priors)
        hard = highest(values, background, counts.new_full(counts.shape, limit), limit)
        easy = background & ~hard
        easy_counts = easy.sum(dim=1)
        from_hard = (counts * self.hard_fraction).long().maximum(counts - easy_counts)
        from_hard = from_hard.minimum(hard.sum(dim=1))
        keys = torch.rand(matched.shape, device=matched.device)
        sampled = highest(keys, hard, from_hard, limit)
        return positive | sampled | highest(keys, easy, counts - from_hard, priors)
