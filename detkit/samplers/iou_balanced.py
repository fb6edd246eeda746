"""A number of priors, with background of every overlap."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from detkit.registry import Fraction, PositiveInt, register
from detkit.samplers.ranking import highest
from detkit.structures import BACKGROUND


@register("sampler", "iou_balanced")
class IoUBalanced:
    """A random choice in each image whose background overlaps objects little and much alike.

    Background falls into equal bins by its highest IoU with an object, from 0 to the highest of the
    image. Bins give one prior each, at random, in turns, until there are enough; the paper takes
    its share of each bin and then from any. Positives are chosen as by `random_balanced`. It draws
    from torch's global generator, whose state is in every checkpoint.

    Paper: Libra R-CNN: Towards Balanced Learning for Object Detection (Pang et al., 2019), section
        3.1, https://arxiv.org/abs/1904.02701

    Args:
        number: Priors that count in an image, where there are as many.
        positive_fraction: The largest share of positives among them; where an image has fewer,
            background takes their places.
        bins: Equal parts of the overlaps of background.
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
        chosen = highest(random, matched >= 0, positives, limit)
        background = matched == BACKGROUND
        turns = _turns(self._bins(values, background), random)
        # Of one turn, at random: the bins may not all get one in the last.
        keys = torch.rand(matched.shape, device=matched.device) - turns
        return chosen | highest(keys, background, self.number - positives, self.number)

    def _bins(self, overlaps: Tensor, background: Tensor) -> Tensor:
        """(B, P) 0 to bins - 1 for background, `bins` for the others."""
        top = torch.where(background, overlaps, 0).amax(dim=1, keepdim=True)  # (B, 1)
        share = overlaps / top.clamp(min=1e-6)
        bins = (share * self.bins).long().clamp(max=self.bins - 1)
        return torch.where(background, bins, self.bins)


def _turns(bins: Tensor, random: Tensor) -> Tensor:
    """(B, P) the how-manieth each is in its bin, counted from 0, in a random order."""
    order = (bins + random).argsort(dim=1)  # bin by bin
    ordered = bins.gather(1, order)
    places = torch.arange(bins.shape[1], device=bins.device).expand_as(bins)
    starts = torch.searchsorted(ordered, ordered)  # where the own bin begins
    return torch.zeros_like(bins).scatter_(1, order, places - starts)
