"""What matrix NMS leaves of scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from detkit.ops.boxes import iou
from detkit.ops.chunks import object_chunks


def decay_at_once(
    boxes: Tensor, groups: Tensor, ratio: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """The factor of each box: the smallest that any better box of its group gives it.

    A box that is itself overlapped by a better one counts less, by the largest such overlap.

    Args:
        boxes: (M, 4), best first.
        groups: (M,); boxes of different groups leave each other alone.
        ratio: Overlaps (n, m) with n better boxes, and (n, 1) the largest overlaps of those with
            still better ones, to factors.

    Returns:
        (M,) factors.
    """
    largest = boxes.new_zeros(len(boxes))
    for start, overlaps in _overlaps_with_worse(boxes, groups):
        largest[start:] = largest[start:].maximum(overlaps.amax(dim=0))
    factors = boxes.new_ones(len(boxes))
    for start, overlaps in _overlaps_with_worse(boxes, groups):
        own = largest[start : start + len(overlaps), None]
        given = torch.where(overlaps > 0, ratio(overlaps, own), 1)
        factors[start:] = factors[start:].minimum(given.amin(dim=0))
    return factors


def _overlaps_with_worse(boxes: Tensor, groups: Tensor) -> Iterator[tuple[int, Tensor]]:
    """IoU of some boxes with all from the first of them on; 0 unless those are worse.

    Yields:
        The first box, and (n, M - first).
    """
    places = torch.arange(len(boxes), device=boxes.device)
    for rows in object_chunks(len(boxes), len(boxes)):
        later = slice(rows.start, None)
        worse = places[rows, None] < places[later]
        worse &= groups[rows, None] == groups[later]
        yield rows.start, torch.where(worse, iou(boxes[rows, None], boxes[later]), 0)
