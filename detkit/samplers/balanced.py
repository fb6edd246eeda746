"""A number of priors with a share of positives, at random or the hardest."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from detkit.registry import Fraction, PositiveInt, register
from detkit.samplers.ranking import highest
from detkit.structures import BACKGROUND


@register("sampler", "random_balanced")
class RandomBalanced:
    """A random choice in each image: positives up to a share, filled up with background.

    It draws from torch's global generator, whose state is in every checkpoint.

    Paper: Faster R-CNN (Ren et al., 2015), section 3.1.3, https://arxiv.org/abs/1506.01497

    Args:
        number: Priors that count in an image, where there are as many.
        positive_fraction: The largest share of positives among them; where an image has fewer,
            background takes their places, but positives never take those of background.
    """

    ranks_by: ClassVar = "nothing"

    def __init__(self, *, number: PositiveInt = 256, positive_fraction: Fraction = 0.5) -> None:
        self.number = number
        self.positive_fraction = positive_fraction

    def __call__(self, matched: Tensor, values: Tensor) -> Tensor:
        """(B, P) and (B, P) to a mask (B, P)."""
        keys = torch.rand(matched.shape, device=matched.device)
        return choose_balanced(keys, matched, self.number, self.positive_fraction)


def choose_balanced(keys: Tensor, matched: Tensor, number: int, positive_fraction: float) -> Tensor:
    """A mask of the priors with the highest keys, positives and background each by themselves.

    Args:
        keys: (B, P) by which priors are ranked.
        matched: (B, P) as in Assignment.
        number: Priors wanted in an image.
        positive_fraction: The largest share of positives among them.

    Returns:
        (B, P) bool.
    """
    limit = int(number * positive_fraction)
    positive = matched >= 0
    positives = positive.sum(dim=1).clamp(max=limit)  # (B,)
    chosen = highest(keys, positive, positives, limit)
    return chosen | highest(keys, matched == BACKGROUND, number - positives, number)
