"""Suppression box by box, by any measure of overlap, with a loop over kept boxes only."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from detkit.ops.chunks import MOST_PAIRS

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

    The rounds are as many as boxes may be kept, whatever the scores: no number is fetched from the
    device, and all groups take part in each round, since a kept box is the best of all.

    Args:
        boxes: (M, 4).
        scores: (M,) above 0.
        groups: (M,); boxes of different groups leave each other alone.
        factors: A kept box and others, any leading axes that broadcast, to what remains of the
            scores of the others, 0 to 1.
        limit: Most boxes that are kept.

    Returns:
        (N,) indices of the kept boxes and (N,) their scores, which never rise; 0 for those that
        nothing remains of.
    """

    def factors_of(rows: Tensor) -> Tensor:
        same = groups[rows][:, None] == groups
        return torch.where(same, factors(boxes[rows][:, None], boxes), 1)

    rounds = min(limit, len(boxes))
    table: Tensor | None = None
    if len(boxes) ** 2 <= min(rounds * _PAIRS_OF_A_ROUND, MOST_PAIRS):
        table = factors_of(torch.arange(len(boxes), device=boxes.device))  # (M, M)
    remaining = scores.clone()
    kept, values = [groups.new_zeros(0)], [scores[:0]]
    for _ in range(rounds):
        value, index = remaining.max(dim=0, keepdim=True)  # (1,), (1,)
        kept.append(index)
        values.append(value)
        row = factors_of(index) if table is None else table.index_select(0, index)  # (1, M)
        remaining.mul_(row[0]).index_fill_(0, index, 0)
    return torch.cat(kept), torch.cat(values)
