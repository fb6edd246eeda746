"""Suppression box by box, by any measure of overlap, with a loop over kept boxes only."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from detkit.ops.chunks import MOST_PAIRS
from detkit.ops.packing import pack_groups

# Pairs that take as long as a round without their factors at hand; measured on a CPU.
_PAIRS_OF_A_ROUND = 5000


def suppress_in_turn(
    boxes: Tensor,
    scores: Tensor,
    groups: Tensor,
    factors: Callable[[Tensor, Tensor], Tensor],
    limit: int,
) -> tuple[Tensor, Tensor]:
    """Keep the best box, multiply the scores of its group by factors, and so on.

    All groups take part in each round, where each keeps its best. The rounds are as many as boxes
    may be kept, whatever the scores: in the loop no number is fetched from the device.

    Args:
        boxes: (M, 4).
        scores: (M,) above 0.
        groups: (M,); boxes of different groups leave each other alone.
        factors: A kept box and others, any leading axes that broadcast, to what remains of the
            scores of the others, 0 to 1.
        limit: Most boxes that are kept of a group.

    Returns:
        (N,) indices of kept boxes and (N,) their scores, in no order. They hold the `limit` best of
        all groups; what nothing remains of has the score 0, and may be there twice.
    """
    packed = pack_groups(boxes, scores, groups)
    rows, places = packed.scores.shape
    every_row = torch.arange(rows, device=boxes.device)

    def factors_of(kept: Tensor) -> Tensor:  # (G, k) places to (G, k, n)
        own = every_row[:, None]
        found = factors(packed.boxes[own, kept][:, :, None], packed.boxes[:, None])
        same = packed.groups[own, kept][:, :, None] == packed.groups[:, None]
        return torch.where(same, found, 1)

    rounds = min(limit, places)
    table: Tensor | None = None
    if rows * places**2 <= min(rounds * _PAIRS_OF_A_ROUND, MOST_PAIRS):
        table = factors_of(torch.arange(places, device=boxes.device).expand(rows, -1))
    remaining = packed.scores.clone()
    kept, values = [packed.candidate.new_zeros(rows, 0)], [scores.new_zeros(rows, 0)]
    for _ in range(rounds):
        value, place = remaining.max(dim=1, keepdim=True)  # (G, 1), (G, 1)
        kept.append(place)
        values.append(value)
        row = factors_of(place)[:, 0] if table is None else table[every_row, place[:, 0]]
        remaining.mul_(row).scatter_(1, place, 0)
    index = packed.candidate.gather(1, torch.cat(kept, dim=1))
    return index.flatten(), torch.cat(values, dim=1).flatten()
