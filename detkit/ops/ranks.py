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
