"""Candidates of many classes as rows of one tensor, so that all classes are worked on at once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Packed(NamedTuple):
    """Candidates in G rows of n places, best first; boxes of different rows never meet.

    Attributes:
        boxes: (G, n, 4), 0 where a place is empty.
        scores: (G, n), 0 where a place is empty.
        groups: (G, n); boxes of one row but different groups leave each other alone.
        candidate: (G, n) which candidate it is, 0 where a place is empty.
    """

    boxes: Tensor
    scores: Tensor
    groups: Tensor
    candidate: Tensor


def pack_groups(boxes: Tensor, scores: Tensor, groups: Tensor) -> Packed:
    """A row for each group; one row for all where this makes fewer pairs, as one group is large.

    Args:
        boxes: (M, 4).
        scores: (M,) above 0.
        groups: (M,) from 0 on.
    """
    order = scores.argsort(descending=True, stable=True)
    by_group = order[groups[order].argsort(stable=True)]
    counts = groups.bincount()
    row = ((counts > 0).cumsum(dim=0) - 1)[groups[by_group]]  # (M,), rows have no gaps
    sizes = counts[counts > 0]  # (G,)
    longest = int(sizes.max()) if len(sizes) else 0
    if len(sizes) * longest**2 >= len(boxes) ** 2:
        return Packed(boxes[order][None], scores[order][None], groups[order][None], order[None])
    starts = sizes.cumsum(dim=0) - sizes
    column = torch.arange(len(boxes), device=boxes.device) - starts[row]
    place = row * longest + column

    def spread(values: Tensor) -> Tensor:
        shape = values.shape[1:]
        flat = values.new_zeros(len(sizes) * longest, *shape).index_copy_(
            0, place, values[by_group]
        )
        return flat.view(len(sizes), longest, *shape)

    everyone = torch.arange(len(boxes), device=boxes.device)
    return Packed(spread(boxes), spread(scores), spread(groups), spread(everyone))
