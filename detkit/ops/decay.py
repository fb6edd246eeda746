"""The score decay of matrix NMS."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from detkit.ops.boxes import iou
from detkit.ops.chunks import row_chunks
from detkit.ops.packing import Packed


def decay_at_once(packed: Packed, ratio: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The decay factor of each box: the smallest over all better boxes of its group.

    A better box that still better ones overlap decays others less, by its largest such overlap.

    Args:
        packed: (G, n) candidates.
        ratio: Maps overlaps (G, k, m) with k better boxes, and the largest overlaps (G, k, 1) of
            these boxes with still better ones, to factors.

    Returns:
        (G, n) factors.
    """
    largest = torch.zeros_like(packed.scores)
    for start, overlaps in _overlaps_with_worse(packed):
        largest[:, start:] = largest[:, start:].maximum(overlaps.amax(dim=1))
    factors = torch.ones_like(packed.scores)
    for start, overlaps in _overlaps_with_worse(packed):
        largest_of_better = largest[:, start : start + overlaps.shape[1], None]
        decay = torch.where(overlaps > 0, ratio(overlaps, largest_of_better), 1)
        factors[:, start:] = factors[:, start:].minimum(decay.amin(dim=1))
    return factors


def _overlaps_with_worse(packed: Packed) -> Iterator[tuple[int, Tensor]]:
    """The IoU of a chunk of k columns with all columns from its first one on.

    It is 0 if the second box is not worse than the first or is of another group.

    Yields:
        The first column of the chunk, and the overlaps (G, k, n - first).
    """
    boxes, groups = packed.boxes, packed.groups
    rows, columns = packed.scores.shape
    rank = torch.arange(columns, device=boxes.device)
    for chunk in row_chunks(columns, rows * columns):
        later = slice(chunk.start, None)
        worse = rank[chunk, None] < rank[later]
        worse = worse & (groups[:, chunk, None] == groups[:, None, later])
        overlaps = iou(boxes[:, chunk, None], boxes[:, None, later])
        yield chunk.start, torch.where(worse, overlaps, 0)
