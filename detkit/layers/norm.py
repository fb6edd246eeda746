"""Normalisation layers by name."""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import FrozenBatchNorm2d

Norm = Literal["none", "batch", "frozen_batch", "group"]
_GROUPS = 32  # the count of the group normalisation paper (Wu and He, 2018)
_LEAST_CHANNELS = 8


class FrozenBatchNorm(FrozenBatchNorm2d):
    """torchvision's, as one operation: its product and sum take four times as long on a CPU."""

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W), normalised by the statistics that it was given."""
        return F.batch_norm(
            features,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=False,
            eps=self.eps,
        )


def make_norm(norm: Norm, channels: int) -> nn.Module:
    """The normalisation layer of a name; `none` passes its input on.

    Group normalisation uses 32 groups, fewer where a group would have less than 8 channels (as many
    as 256 channels have, and enough for statistics on a map of one cell), always a divisor.
    """
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "frozen_batch":
        return FrozenBatchNorm(channels)
    if norm == "group":
        return nn.GroupNorm(count_groups(channels), channels)
    return nn.Identity()


def count_groups(channels: int) -> int:
    """The groups of group normalisation for a number of channels, see `make_norm`."""
    largest: int = 2 ** int(math.log2(max(1, channels // _LEAST_CHANNELS)))
    return min(math.gcd(_GROUPS, channels), largest)
