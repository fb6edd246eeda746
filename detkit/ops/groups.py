"""Positions and maxima within groups, such as the priors of each object."""

from __future__ import annotations

import torch
from torch import Tensor


def positions_in_groups(values: Tensor, groups: Tensor) -> Tensor:
    """The position of each value in its group, largest first; equal values keep their order.

    Args:
        values: (K,).
        groups: (K,) index of each value's group, from 0.

    Returns:
        (K,) int64.
    """
    by_value = values.argsort(descending=True, stable=True)
    order = by_value[groups[by_value].argsort(stable=True)]  # by group, then by value
    sizes = groups.bincount()
    starts = sizes.cumsum(0) - sizes
    indices = torch.arange(len(values), device=values.device)
    positions = torch.empty_like(indices)
    positions[order] = indices - starts[groups[order]]
    return positions


def largest_in_groups(values: Tensor, groups: Tensor, count: int) -> Tensor:
    """(count,) the largest value of each group, at least 0.

    Args:
        values: (K,).
        groups: (K,) index of each value's group, in 0..count-1.
        count: Number of groups.
    """
    return values.new_zeros(count).scatter_reduce_(0, groups, values, "amax")
