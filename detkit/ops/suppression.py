"""Sequential suppression with any overlap measure: kept boxes lower the scores of worse ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from detkit.ops.chunks import MOST_PAIRS, row_chunks
from detkit.ops.packing import Packed, pack_groups
from detkit.ops.selection import is_eager_cpu

Factors = Callable[[Tensor, Tensor], Tensor]
_MOST_LISTED = 4 * MOST_PAIRS  # pairs to compare at once; each that overlaps takes 40 bytes
_TENSORS_OF_PAIRS = 16  # that an overlap measure and the boxes of its pairs allocate
_FAR = 2**24  # pixels; coordinates farther away are clamped to this
_MOST_COPIED = 2**14  # candidates of a batch


def suppress_in_turn(
    boxes: Tensor, scores: Tensor, groups: Tensor, factors: Factors, limit: int
) -> Tensor:
    """Keep the best box, multiply the scores of its group by factors, and repeat.

    Boxes that do not lower each other's scores can be kept in the same round. If all pairs fit into
    memory, each round therefore keeps every box that is better than all boxes it affects, which
    takes about twenty rounds instead of one per box. Otherwise each round keeps the best box of
    every group. The rounds, after each of which the host waits, are those of the slowest image.
    The few candidates of a usual batch are therefore copied from an accelerator to the host, which
    then waits once.

    Args:
        boxes: (B, K, 4).
        scores: (B, K); boxes with a score of 0 do not exist.
        groups: (B, K) from 0; boxes of different groups do not interact.
        factors: Maps a kept box and others, with leading axes that broadcast, to the factors, 0 to
            1, of the others' scores. Must be symmetric, and 1 for boxes that do not overlap.
        limit: Maximum number of boxes kept per group.

    Returns:
        (B, K) scores of the kept boxes. They contain the `limit` best of each group; fully
        suppressed boxes have the score 0.
    """
    if is_eager_cpu(scores) or scores.numel() > _MOST_COPIED:
        return _suppress(boxes, scores, groups, factors, limit)
    columns = torch.cat([boxes, scores[..., None], groups[..., None].to(boxes)], dim=-1).cpu()
    lowered = _suppress(columns[..., :4], columns[..., 4], columns[..., 5].long(), factors, limit)
    return lowered.to(scores.device, non_blocking=True)


def _suppress(
    boxes: Tensor, scores: Tensor, groups: Tensor, factors: Factors, limit: int
) -> Tensor:
    """See `suppress_in_turn`."""
    values, order = scores.flatten().sort(descending=True, stable=True)
    count = int(values.count_nonzero())
    if count == 0:
        return torch.zeros_like(scores)
    values, order = values[:count], order[:count]
    rows = groups
    if scores.shape[0] > 1:
        image = torch.arange(scores.shape[0], device=scores.device)[:, None]
        rows = image * (groups.amax() + 1) + groups
    rows, ordered = rows.flatten(), boxes.flatten(0, 1).index_select(0, order)
    pairs = _overlapping_pairs(ordered, rows[order])
    if pairs is not None:
        interactions = _interactions(ordered, pairs, factors)
        lowered = _suppressed(values, interactions)
        return torch.zeros_like(scores).flatten().index_copy_(0, order, lowered).view_as(scores)
    if scores.shape[0] > 1:  # fewer images have fewer pairs
        halves = (slice(None, scores.shape[0] // 2), slice(scores.shape[0] // 2, None))
        return torch.cat(
            [_suppress(boxes[h], scores[h], groups[h], factors, limit) for h in halves]
        )
    packed = pack_groups(boxes, scores, groups)
    index, values = _row_by_row(packed, factors, min(limit, packed.scores.shape[1]))
    kept = scores.new_zeros(scores.numel() + 1).scatter_reduce_(0, index, values, "amax")
    return kept[:-1].view_as(scores)


def _overlapping_pairs(boxes: Tensor, groups: Tensor) -> tuple[Tensor, Tensor] | None:
    """Find the pairs of boxes in a group that overlap, or nearly do, without comparing all pairs.

    Sorted by their left sides, the boxes that begin before a box ends directly follow it.

    Returns:
        (K,) first and (K,) second boxes, each pair once; None if there are too many candidates.
    """
    x1, y1, x2, y2 = boxes.nan_to_num().clamp(-_FAR, _FAR).unbind(1)
    starts, stops = x1.floor().long(), x2.ceil().long()
    least = starts.min()
    row = groups * (stops.max() - least + 1) - least  # shifts groups apart
    sorted_starts, order = (row + starts).sort()
    last_followers = torch.searchsorted(sorted_starts, (row + stops)[order], right=True)
    numbers = torch.arange(len(boxes), device=boxes.device)
    counts = (last_followers - numbers - 1).clamp(min=0)
    total = int(counts.sum())
    if total > _MOST_LISTED:
        return None
    first = numbers.repeat_interleave(counts, output_size=total)
    following = numbers + 1 - (counts.cumsum(0) - counts)
    second = torch.arange(total, device=boxes.device) + following.index_select(0, first)
    top, bottom = y1[order], y2[order]
    meet = top.index_select(0, first) <= bottom.index_select(0, second)
    meet &= top.index_select(0, second) <= bottom.index_select(0, first)
    overlapping = meet.nonzero().squeeze(1)
    return order[first.index_select(0, overlapping)], order[second.index_select(0, overlapping)]


class _Interactions(NamedTuple):
    """Pairs of boxes that lower each other's score."""

    first: Tensor  # (K,)
    second: Tensor  # (K,)
    factor: Tensor  # (K,)

    def where(self, mask: Tensor) -> _Interactions:
        index = mask.nonzero().squeeze(1)
        return _Interactions(*(values.index_select(0, index) for values in self))

    def both_ways(self) -> _Interactions:
        first, second = torch.cat([self.first, self.second]), torch.cat([self.second, self.first])
        return _Interactions(first, second, self.factor.repeat(2))


def _interactions(boxes: Tensor, pairs: tuple[Tensor, Tensor], factors: Factors) -> _Interactions:
    """The pairs that lower each other's score, in both directions."""
    sides = boxes.T.contiguous()  # overlap measures read one coordinate at a time
    interactions = []
    for chunk in row_chunks(max(len(pairs[0]), 1), _TENSORS_OF_PAIRS):
        first, second = pairs[0][chunk], pairs[1][chunk]
        factor = factors(sides.index_select(1, first).T, sides.index_select(1, second).T)
        interactions.append(_Interactions(first, second, factor).where(factor < 1))
    columns = (torch.cat(values) for values in zip(*interactions, strict=True))
    return _Interactions(*columns).both_ways()


def _suppressed(scores: Tensor, interactions: _Interactions) -> Tensor:
    """(N,) scores after every box has been kept or fully suppressed.

    Scores only fall, so a box that is better than all boxes it interacts with is kept before any of
    them. Of two equal boxes, the first is kept.
    """
    scores = scores.clone()
    while len(interactions.first):
        first, second, _ = interactions
        a, b = scores.index_select(0, first), scores.index_select(0, second)
        better = interactions.where((a > b) | ((a == b) & (first < second)))
        waits = torch.zeros_like(scores, dtype=torch.bool).index_fill_(0, better.second, True)
        waiting = waits.index_select(0, first)
        _, second, factor = better.where(~waits.index_select(0, better.first))
        scores.scatter_reduce_(0, second, factor, "prod")
        interactions = interactions.where(waiting & waits.index_select(0, interactions.second))
    return scores


def _row_by_row(packed: Packed, factors: Factors, rounds: int) -> tuple[Tensor, Tensor]:
    """Keep the best box of every row, `rounds` times, without synchronising with the device."""
    rows = torch.arange(len(packed.scores), device=packed.scores.device)[:, None]
    remaining = packed.scores.clone()
    kept_columns, kept_scores = [], []
    for _ in range(rounds):
        value, column = remaining.max(dim=1, keepdim=True)  # (G, 1), (G, 1)
        kept_columns.append(column)
        kept_scores.append(value)
        factor = factors(packed.boxes[rows, column], packed.boxes)  # (G, n)
        factor = torch.where(packed.groups[rows, column] == packed.groups, factor, 1)
        remaining.mul_(factor).scatter_(1, column, 0)
    index = packed.candidate.gather(1, torch.cat(kept_columns, dim=1))
    return index.flatten(), torch.cat(kept_scores, dim=1).flatten()
