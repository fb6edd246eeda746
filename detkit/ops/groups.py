"""Ranks within groups, for pairs of priors and objects of which each object has its own number."""

from __future__ import annotations

import torch
from torch import Tensor


def positions_in_groups(values: Tensor, groups: Tensor) -> Tensor:
    """The rank of each value in its group: 0 for the largest, the first of equals before others.

    Args:
        values: (K,).
        groups: (K,) the number of the group, from 0 on.

    Returns:
        (K,) int64.
    """
    by_value = values.argsort(descending=True, stable=True)
    order = by_value[groups[by_value].argsort(stable=True)]  # by group, then by value
    sizes = groups.bincount()
    starts = sizes.cumsum(0) - sizes
    places = torch.arange(len(values), device=values.device)
    ranks = torch.empty_like(places)
    ranks[order] = places - starts[groups[order]]
    return ranks


def largest_in_groups(values: Tensor, groups: Tensor, count: int) -> Tensor:
    """(count,) the largest value of each group, 0 at least.

    Args:
        values: (K,).
        groups: (K,) the number of the group, in 0..count-1.
        count: How many groups there are.
    """
    return values.new_zeros(count).scatter_reduce_(0, groups, values, "amax")
