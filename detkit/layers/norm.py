"""Normalisation layers by name."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torchvision.ops import FrozenBatchNorm2d

Norm = Literal["none", "batch", "frozen_batch", "group"]
_GROUPS = 32  # the count of the group normalisation paper (Wu and He, 2018)
_LEAST_CHANNELS = 8


class FrozenBatchNorm(FrozenBatchNorm2d):  # type: ignore[misc]  # torchvision has no types
    """torchvision's frozen batch norm in one operation on the map instead of two.

    `F.batch_norm` in evaluation mode is as fast forward but takes twice as long backward (CPU).
    """

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W), normalised by the frozen statistics."""
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        shift = self.bias - self.running_mean * scale
        scale, shift = (v.to(features.dtype).view(1, -1, 1, 1) for v in (scale, shift))
        return torch.addcmul(shift, features, scale)


def make_norm(norm: Norm, channels: int) -> nn.Module:
    """Build a normalisation layer by name; `none` is the identity.

    Group normalisation uses 32 groups, or fewer if a group would have less than 8 channels: this is
    the group size of 256 channels, and enough for statistics on a map of one cell.
    """
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "frozen_batch":
        return FrozenBatchNorm(channels)
    if norm == "group":
        return nn.GroupNorm(count_groups(channels), channels)
    return nn.Identity()


def count_groups(channels: int) -> int:
    """Number of groups for group normalisation, always a divisor of the channels."""
    largest: int = 2 ** int(math.log2(max(1, channels // _LEAST_CHANNELS)))
    return min(math.gcd(_GROUPS, channels), largest)
