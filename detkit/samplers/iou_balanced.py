"""Samples whose background is balanced by IoU."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from detkit.registry import Fraction, PositiveInt, register
from detkit.samplers.ranking import highest
from detkit.structures import BACKGROUND


@register("sampler", "iou_balanced")
class IoUBalanced:
    """A random sample per image whose background is spread evenly over IoUs with objects.

    Background is binned by its highest IoU with an object, from 0 to the image's maximum. Each bin
    in turn contributes a random prior until the sample is complete; the paper takes an equal share
    of each bin and fills up from any bin. Positives are sampled as in `random_balanced`. It uses
    torch's global generator, whose state is in every checkpoint.

    Paper: Libra R-CNN: Towards Balanced Learning for Object Detection (Pang et al., 2019), section
        3.1, https://arxiv.org/abs/1904.02701

    Args:
        number: Priors sampled per image, fewer if an image has fewer.
        positive_fraction: Maximum share of positives. Background replaces missing positives.
        bins: Number of equal IoU bins for background.
    """

    ranks_by: ClassVar = "overlaps"

    def __init__(
        self,
        *,
        number: PositiveInt = 512,
        positive_fraction: Fraction = 0.25,
        bins: PositiveInt = 3,
    ) -> None:
        self.number = number
        self.positive_fraction = positive_fraction
        self.bins = bins

    def __call__(self, matched: Tensor, values: Tensor) -> Tensor:
        """(B, P) and overlaps (B, P) to a mask (B, P)."""
        if matched.shape[1] == 0:
            return matched >= 0
        limit = int(self.number * self.positive_fraction)
        positives = (matched >= 0).sum(dim=1).clamp(max=limit)  # (B,)
        random = torch.rand(matched.shape, device=matched.device)
        sampled_positives = highest(random, matched >= 0, positives, limit)
        background = matched == BACKGROUND
        turns = _turns(self._bins(values, background), random)
        # Random order within a turn, since the last turn may not reach every bin.
        keys = torch.rand(matched.shape, device=matched.device) - turns
        return sampled_positives | highest(keys, background, self.number - positives, self.number)

    def _bins(self, overlaps: Tensor, background: Tensor) -> Tensor:
        """(B, P) 0 to bins - 1 for background, `bins` for all other priors."""
        top = torch.where(background, overlaps, 0).amax(dim=1, keepdim=True)  # (B, 1)
        share = overlaps / top.clamp(min=1e-6)
        bins = (share * self.bins).long().clamp(max=self.bins - 1)
        return torch.where(background, bins, self.bins)


def _turns(bins: Tensor, random: Tensor) -> Tensor:
    """(B, P) rank of each prior within its bin, in random order, counted from 0."""
    order = (bins + random).argsort(dim=1)  # bin by bin
    ordered = bins.gather(1, order)
    positions = torch.arange(bins.shape[1], device=bins.device).expand_as(bins)
    starts = torch.searchsorted(ordered, ordered)  # where each prior's bin begins
    return torch.zeros_like(bins).scatter_(1, order, positions - starts)
