"""What matrix NMS leaves of scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from detkit.ops.boxes import iou
from detkit.ops.chunks import row_chunks
from detkit.ops.packing import Packed


def decay_at_once(packed: Packed, ratio: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The factor of each box: the smallest that any better box of its group gives it.

    A box that is itself overlapped by a better one counts less, by the largest such overlap.

    Args:
        packed: (G, n) candidates.
        ratio: Overlaps (G, k, m) with k better boxes, and (G, k, 1) the largest overlaps of those
            with still better ones, to factors.

    Returns:
        (G, n) factors.
    """
    largest = torch.zeros_like(packed.scores)
    for start, overlaps in _overlaps_with_worse(packed):
        largest[:, start:] = largest[:, start:].maximum(overlaps.amax(dim=1))
    factors = torch.ones_like(packed.scores)
    for start, overlaps in _overlaps_with_worse(packed):
        own = largest[:, start : start + overlaps.shape[1], None]
        given = torch.where(overlaps > 0, ratio(overlaps, own), 1)
        factors[:, start:] = factors[:, start:].minimum(given.amin(dim=1))
    return factors


def _overlaps_with_worse(packed: Packed) -> Iterator[tuple[int, Tensor]]:
    """IoU of some boxes of each row with all from the first of them on; 0 unless those are worse.

    Yields:
        The place of the first box, and (G, k, n - first).
    """
    boxes, groups = packed.boxes, packed.groups
    rows, places = packed.scores.shape
    rank = torch.arange(places, device=boxes.device)
    for some in row_chunks(places, rows * places):
        later = slice(some.start, None)
        worse = rank[some, None] < rank[later]
        worse = worse & (groups[:, some, None] == groups[:, None, later])
        overlaps = iou(boxes[:, some, None], boxes[:, None, later])
        yield some.start, torch.where(worse, overlaps, 0)
