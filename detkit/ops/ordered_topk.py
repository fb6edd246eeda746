"""Rank values with a defined order of equal ones."""

from __future__ import annotations

import torch
from torch import Tensor


def ordered_topk(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The highest values, highest first; equal values in the order of their index.

    `torch.topk` leaves the order of equal values open, so that a device or a layout could select
    others. Here a value and its index form one whole number.

    Args:
        values: (..., P) float32.
        count: How many to select, at most P.

    Returns:
        (..., count) values and their indices.
    """
    size = values.shape[-1]
    bits = (values + 0.0).view(torch.int32)  # adding 0 turns -0 into 0
    ascending = bits ^ ((bits >> 31) & 0x7FFFFFFF)  # ordered as the floats are, negatives included
    back = torch.arange(size - 1, -1, -1, device=values.device)
    index = (ascending.long() * 2**32 + back).topk(count, dim=-1).indices
    return values.gather(-1, index), index
