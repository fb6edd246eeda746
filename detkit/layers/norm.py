"""Normalisation layers by name."""

from __future__ import annotations

import math
from typing import Literal

from torch import nn
from torchvision.ops import FrozenBatchNorm2d

Norm = Literal["none", "batch", "frozen_batch", "group"]
_GROUPS = 32  # the count of the group normalisation paper (Wu and He, 2018)


def make_norm(norm: Norm, channels: int) -> nn.Module:
    """The normalisation layer of a name; `none` passes its input on.

    Group normalisation uses 32 groups, or the largest power of two below that divides the channels.
    """
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "frozen_batch":
        frozen: nn.Module = FrozenBatchNorm2d(channels)
        return frozen
    if norm == "group":
        return nn.GroupNorm(math.gcd(_GROUPS, channels), channels)
    return nn.Identity()
