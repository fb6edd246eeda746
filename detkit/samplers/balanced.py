"""Samples of a fixed size with a maximum share of positives."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from detkit.registry import Fraction, PositiveInt, register
from detkit.samplers.ranking import highest
from detkit.structures import BACKGROUND


@register("sampler", "random_balanced")
class RandomBalanced:
    """A random sample per image: positives up to a share, the remainder background.

    It uses torch's global generator, whose state is in every checkpoint.

    Paper: Faster R-CNN (Ren et al., 2015), section 3.1.3, https://arxiv.org/abs/1506.01497

    Args:
        number: Priors sampled per image, fewer if an image has fewer.
        positive_fraction: Maximum share of positives. Background replaces missing positives;
            positives never replace missing background.
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
    """Mask of the priors with the highest keys, positives and background ranked separately.

    Args:
        keys: (B, P) values to rank priors by.
        matched: (B, P) as in Assignment.
        number: Priors to sample per image.
        positive_fraction: Maximum share of positives.

    Returns:
        (B, P) bool.
    """
    limit = int(number * positive_fraction)
    positive = matched >= 0
    positives = positive.sum(dim=1).clamp(max=limit)  # (B,)
    sampled_positives = highest(keys, positive, positives, limit)
    return sampled_positives | highest(keys, matched == BACKGROUND, number - positives, number)
