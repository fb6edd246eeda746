"""A sampler: selects the priors that count in the loss."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from detkit import register
from detkit.registry import PositiveInt
from detkit.structures import BACKGROUND


@register("sampler", "my_sampler")
class MySampler:
    """Selects all positives of an image and the background priors with the highest loss.

    Args:
        ratio: Background priors for each positive; an image without positives is treated like one
            with a single positive.
    """

    # What `values` contains: "nothing", "losses" or "overlaps".
    ranks_by: ClassVar = "losses"

    def __init__(self, *, ratio: PositiveInt = 3) -> None:
        self.ratio = ratio

    def __call__(self, matched: Tensor, values: Tensor) -> Tensor:
        """Return a mask (B, P), from matches (B, P) as in Assignment and losses (B, P)."""
        positive, background = matched >= 0, matched == BACKGROUND
        limit = positive.sum(dim=1, keepdim=True).clamp(min=1) * self.ratio  # (B, 1)
        losses = values.masked_fill(~background, -torch.inf)
        rank = losses.argsort(dim=1, descending=True, stable=True).argsort(dim=1)  # 0 is highest
        return positive | (background & (rank < limit))
