"""Normalisation layers by name."""

from __future__ import annotations

import math
from typing import Literal

from torch import nn

from detkit.ops.cross_mini_batch_norm import CrossMiniBatchNorm
from detkit.ops.frozen_batch_norm import FrozenBatchNorm

Norm = Literal["none", "batch", "cmbn", "frozen_batch", "group"]
_GROUPS = 32  # the count of the group normalisation paper (Wu and He, 2018)
_LEAST_CHANNELS = 8


def make_norm(norm: Norm, channels: int) -> nn.Module:
    """Build a normalisation layer by name; `none` is the identity.

    `cmbn` is batch norm over all batches of an optimizer step.

    Group normalisation uses 32 groups, or fewer if a group would have less than 8 channels: this is
    the group size of 256 channels, and enough for statistics on a map of one cell.
    """
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    if norm == "cmbn":
        return CrossMiniBatchNorm(channels)
    if norm == "frozen_batch":
        return FrozenBatchNorm(channels)
    if norm == "group":
        return nn.GroupNorm(count_groups(channels), channels)
    return nn.Identity()


def set_batch_norms(module: nn.Module, *, eps: float, momentum: float) -> None:
    """Set the constants of all batch norms in a module.

    Args:
        module: Changed in place.
        eps: Added to the variance.
        momentum: Share of a batch's statistics in the running statistics.
    """
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d | CrossMiniBatchNorm):
            norm.eps, norm.momentum = eps, momentum
        elif isinstance(norm, FrozenBatchNorm):
            norm.eps = eps


def count_groups(channels: int) -> int:
    """Number of groups for group normalisation, always a divisor of the channels."""
    largest: int = 2 ** int(math.log2(max(1, channels // _LEAST_CHANNELS)))
    return min(math.gcd(_GROUPS, channels), largest)
