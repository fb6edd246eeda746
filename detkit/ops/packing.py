"""Pack the candidates of many classes into one tensor to process all classes at once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Packed(NamedTuple):
    """Candidates in G rows and n columns, best first; only boxes of the same row interact.

    Attributes:
        boxes: (G, n, 4), 0 in empty cells.
        scores: (G, n), 0 in empty cells.
        groups: (G, n); boxes of one row but different groups do not interact.
        candidate: (G, n) index of the candidate, 0 in empty cells.
    """

    boxes: Tensor
    scores: Tensor
    groups: Tensor
    candidate: Tensor


def pack_groups(boxes: Tensor, scores: Tensor, groups: Tensor) -> Packed:
    """Put each group into a row, or all into one row if a large group makes that fewer pairs.

    Args:
        boxes: (M, 4).
        scores: (M,) above 0.
        groups: (M,) from 0.
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
    cell = row * longest + column

    def spread(values: Tensor) -> Tensor:
        shape = values.shape[1:]
        flat = values.new_zeros(len(sizes) * longest, *shape).index_copy_(0, cell, values[by_group])
        return flat.view(len(sizes), longest, *shape)

    indices = torch.arange(len(boxes), device=boxes.device)
    return Packed(spread(boxes), spread(scores), spread(groups), spread(indices))
