"""Suppression box by box, by any measure of overlap: the scores of worse boxes are lowered."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from detkit.ops.chunks import MOST_PAIRS, row_chunks
from detkit.ops.packing import Packed, pack_groups

Factors = Callable[[Tensor, Tensor], Tensor]
_MOST_LISTED = 4 * MOST_PAIRS  # pairs that are all looked at; each that overlaps takes 40 bytes
_TENSORS_OF_PAIRS = 8  # that a measure of overlap holds at once


def suppress_in_turn(
    boxes: Tensor, scores: Tensor, groups: Tensor, factors: Factors, limit: int
) -> tuple[Tensor, Tensor]:
    """Keep the best box, multiply the scores of its group by factors, and so on.

    Two boxes of which neither lowers the other can be kept at once. So where all pairs can be
    looked at, each round keeps every box that is better than all that it meets, and the rounds are
    some twenty instead of one for each box. Otherwise each round keeps the best of every group.

    Args:
        boxes: (M, 4).
        scores: (M,) above 0.
        groups: (M,); boxes of different groups leave each other alone.
        factors: A kept box and others, any leading axes that broadcast, to what remains of the
            scores of the others, 0 to 1; the same for the two boxes of a pair.
        limit: Most boxes that are kept of a group.

    Returns:
        (N,) indices of kept boxes and (N,) their scores, in no order. They hold the `limit` best of
        all groups; what nothing remains of has the score 0, and may be there twice.
    """
    if len(boxes) == 0:
        return groups, scores
    packed = pack_groups(boxes, scores, groups)
    rows, places = packed.scores.shape
    if rows * places**2 <= _MOST_LISTED:
        values = _lowered(packed.scores.flatten(), _meetings(packed, factors))
        return packed.candidate.flatten(), values
    return _row_by_row(packed, factors, min(limit, places))


class _Meetings(NamedTuple):
    """Pairs of boxes that lower each other's score, each in both directions."""

    first: Tensor  # (K,)
    second: Tensor  # (K,)
    factor: Tensor  # (K,)

    def keep(self, chosen: Tensor) -> _Meetings:
        index = chosen.nonzero().squeeze(1)
        return _Meetings(*(values.index_select(0, index) for values in self))

    def both_ways(self) -> _Meetings:
        first, second = torch.cat([self.first, self.second]), torch.cat([self.second, self.first])
        return _Meetings(first, second, self.factor.repeat(2))


def _meetings(packed: Packed, factors: Factors) -> _Meetings:
    """All pairs of the G rows of n places, of which place p of row g is number g * n + p."""
    rows, places = packed.scores.shape
    boxes, group = packed.boxes, packed.groups.flatten()
    found = []
    for some in row_chunks(places, _TENSORS_OF_PAIRS * rows * places):
        worse = slice(some.start, None)
        factor = factors(boxes[:, some, None], boxes[:, None, worse])  # (G, k, n - start)
        row, first, second = (factor < 1).nonzero(as_tuple=True)
        start = row * places + some.start
        pairs = _Meetings(start + first, start + second, factor[row, first, second])
        found.append(pairs.keep((first < second) & (group[pairs.first] == group[pairs.second])))
    one_way = _Meetings(*(torch.cat(values) for values in zip(*found, strict=True)))
    return one_way.both_ways()


def _lowered(scores: Tensor, meetings: _Meetings) -> Tensor:
    """(N,) scores once every box has been kept, or has nothing left.

    The scores only fall, so a box that is better than all it meets would be kept before any of
    them. Of equals the first is.
    """
    scores = scores.clone()
    while len(meetings.first):
        first, second, _ = meetings
        a, b = scores.index_select(0, first), scores.index_select(0, second)
        better = meetings.keep((a > b) | ((a == b) & (first < second)))
        waits = torch.zeros_like(scores, dtype=torch.bool).index_fill_(0, better.second, True)
        waiting = waits.index_select(0, first)
        _, second, factor = better.keep(~waits.index_select(0, better.first))
        scores.scatter_reduce_(0, second, factor, "prod")
        meetings = meetings.keep(waiting & waits.index_select(0, meetings.second))
    return scores


def _row_by_row(packed: Packed, factors: Factors, rounds: int) -> tuple[Tensor, Tensor]:
    """A round for each box that may be kept of a row; no number is fetched from the device."""
    every_row = torch.arange(len(packed.scores), device=packed.scores.device)[:, None]
    remaining = packed.scores.clone()
    kept, values = [], []
    for _ in range(rounds):
        value, place = remaining.max(dim=1, keepdim=True)  # (G, 1), (G, 1)
        kept.append(place)
        values.append(value)
        factor = factors(packed.boxes[every_row, place], packed.boxes)  # (G, n)
        factor = torch.where(packed.groups[every_row, place] == packed.groups, factor, 1)
        remaining.mul_(factor).scatter_(1, place, 0)
    index = packed.candidate.gather(1, torch.cat(kept, dim=1))
    return index.flatten(), torch.cat(values, dim=1).flatten()
