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


class Divisors:
    """What a rank divides its sums by, so that ranks together learn as one process would.

    Gradients are averaged over ranks, so that is the mean of their counts. Where they count less
    than 1 together, it is 1 together: a rank of W divides by 1 / W.

    Where gradients are accumulated over several batches, what all of them count may be known
    before the first: then it stands in for the counts of each.

    Attributes:
        counts: The last ones that were divided by, of this rank and batch alone.
        of_step: What all ranks and batches of an optimizer step divide by; None for each its own.
    """

    def __init__(self) -> None:
        """Begin with each batch by itself."""
        self.counts: Tensor | None = None
        self.of_step: Tensor | None = None

    def __call__(self, counts: Tensor) -> Tensor:
        """Counts of this rank's batch to what it divides by, elementwise."""
        self.counts, total = counts, counts.clone()
        if self.of_step is not None:
            return self.of_step
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(total)
            return total.clamp(min=1) / torch.distributed.get_world_size()
        return total.clamp(min=1)
