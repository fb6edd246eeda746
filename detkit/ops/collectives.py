"""Means and sums over the ranks of a distributed run."""

from __future__ import annotations

import torch.distributed
from torch import Tensor


def mean_over_ranks(value: Tensor) -> Tensor:
    """The mean over all ranks; each rank must call this the same number of times."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return value
    return sum_over_ranks(value) / torch.distributed.get_world_size()


def sum_over_ranks(value: Tensor) -> Tensor:
    """The sum over all ranks; each rank must call this the same number of times."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return value
    total = value.clone()
    torch.distributed.all_reduce(total)
    return total


class Divisors:
    """Loss normalisers that make several ranks train exactly as one process would.

    Gradients are averaged over ranks, so each rank divides its sums by the mean of all ranks'
    counts. If the counts of W ranks add up to less than 1, each rank divides by 1 / W.

    When gradients accumulate over several batches, the total count may be known before the first
    batch; it then replaces the counts of the single batches.

    Attributes:
        counts: The latest counts of this rank and batch alone.
        of_step: The normaliser of all ranks and batches of an optimizer step; None: each batch has
            its own.
    """

    def __init__(self) -> None:
        """Start with one normaliser per batch."""
        self.counts: Tensor | None = None
        self.of_step: Tensor | None = None

    def __call__(self, counts: Tensor) -> Tensor:
        """The normalisers for the counts of this rank's batch, elementwise."""
        self.counts, total = counts, counts.clone()
        if self.of_step is not None:
            return self.of_step
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(total)
            return total.clamp(min=1) / torch.distributed.get_world_size()
        return total.clamp(min=1)
