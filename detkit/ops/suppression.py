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
_TENSORS_OF_PAIRS = 16  # that a measure of overlap and the boxes of its pairs hold at once
_FAR = 2**24  # pixels; farther away, boxes count as if they were here


def suppress_in_turn(
    boxes: Tensor, scores: Tensor, groups: Tensor, factors: Factors, limit: int
) -> tuple[Tensor, Tensor]:
    """Keep the best box, multiply the scores of its group by factors, and so on.

    Two boxes of which neither lowers the other can be kept at once. So where all pairs side by side
    can be looked at, each round keeps every box that is better than all that it meets, and the
    rounds are some twenty instead of one for each box. Otherwise each round keeps the best of every
    group.

    Args:
        boxes: (M, 4).
        scores: (M,) above 0.
        groups: (M,); boxes of different groups leave each other alone.
        factors: A kept box and others, any leading axes that broadcast, to what remains of the
            scores of the others, 0 to 1; the same for the two boxes of a pair, and 1 for boxes that
            do not overlap.
        limit: Most boxes that are kept of a group.

    Returns:
        (N,) indices of kept boxes and (N,) their scores, in no order. They hold the `limit` best of
        all groups; what nothing remains of has the score 0, and may be there twice.
    """
    if len(boxes) == 0:
        return groups, scores
    order = scores.argsort(descending=True, stable=True)
    pairs = _overlapping(boxes[order], groups[order])
    if pairs is not None:
        return order, _lowered(scores[order], _meetings(boxes[order], pairs, factors))
    packed = pack_groups(boxes, scores, groups)
    return _row_by_row(packed, factors, min(limit, packed.scores.shape[1]))


def _overlapping(boxes: Tensor, groups: Tensor) -> tuple[Tensor, Tensor] | None:
    """The pairs of a group that overlap, or nearly do, without looking at all pairs.

    Of boxes in the order of their left sides, those that begin before one ends follow it.

    Returns:
        (K,) first and (K,) second boxes, each pair once; or None where too many begin so.
    """
    x1, y1, x2, y2 = boxes.nan_to_num().clamp(-_FAR, _FAR).unbind(1)
    left, right = x1.floor().long(), x2.ceil().long()
    least = left.min()
    row = groups * (right.max() - least + 1) - least  # groups one beside the other
    begins, place = (row + left).sort()
    ends = torch.searchsorted(begins, (row + right)[place], right=True)
    number = torch.arange(len(boxes), device=boxes.device)
    counts = (ends - number - 1).clamp(min=0)
    total = int(counts.sum())
    if total > _MOST_LISTED:
        return None
    first = number.repeat_interleave(counts, output_size=total)
    following = number + 1 - (counts.cumsum(0) - counts)
    second = torch.arange(total, device=boxes.device) + following.index_select(0, first)
    top, bottom = y1[place], y2[place]
    meet = top.index_select(0, first) <= bottom.index_select(0, second)
    meet &= top.index_select(0, second) <= bottom.index_select(0, first)
    chosen = meet.nonzero().squeeze(1)
    return place[first.index_select(0, chosen)], place[second.index_select(0, chosen)]


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


def _meetings(boxes: Tensor, pairs: tuple[Tensor, Tensor], factors: Factors) -> _Meetings:
    """Those of the pairs that lower each other's score."""
    sides = boxes.T.contiguous()  # a measure of overlap takes them one by one
    found = []
    for some in row_chunks(max(len(pairs[0]), 1), _TENSORS_OF_PAIRS):
        first, second = pairs[0][some], pairs[1][some]
        factor = factors(sides.index_select(1, first).T, sides.index_select(1, second).T)
        found.append(_Meetings(first, second, factor).keep(factor < 1))
    return _Meetings(*(torch.cat(values) for values in zip(*found, strict=True))).both_ways()


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
