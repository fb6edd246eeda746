"""What the ranks of a run on several devices share."""

from __future__ import annotations

import torch.distributed
from torch import Tensor


def mean_over_ranks(value: Tensor) -> Tensor:
    """The mean of a number over all ranks; every rank has to call it, every time."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return value
    total = value.clone()
    torch.distributed.all_reduce(total)
    return total / torch.distributed.get_world_size()


def normaliser_over_ranks(count: Tensor) -> Tensor:
    """What a rank divides its sum by, so that ranks together learn as one process would.

    Gradients are averaged over ranks, so that is the mean of their counts. Where they count less
    than 1 together, it is 1 together: a rank of W divides by 1 / W.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return count.clamp(min=1)
    total = count.clone()
    torch.distributed.all_reduce(total)
    return total.clamp(min=1) / torch.distributed.get_world_size()
