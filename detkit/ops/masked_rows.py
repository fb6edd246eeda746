"""Rows of a batch that enter a loss which concerns few of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from detkit.ops.selection import is_eager_cpu

PairLoss = Callable[[Tensor, Tensor], Tensor]


@runtime_checkable
class LossOfRows(Protocol):
    """A loss in which each row depends on the others, such as those weighted by a histogram."""

    def of_rows(self, predicted: Tensor, target: Tensor, counted: Tensor) -> Tensor:
        """The losses (M,) of pairs (M, D); rows that are not `counted` (M,) affect no other."""
        ...


class Rows(NamedTuple):
    """M rows of tensors (B, P, ...) with B * P rows.

    Attributes:
        positions: (M,) among the B * P rows; None for all of them.
        mask: (M,) bool, whether a row counts; None if all M do.
    """

    positions: Tensor | None
    mask: Tensor | None

    def of(self, values: Tensor) -> Tensor:
        """(B, P, ...) to (M, ...)."""
        flat = values.flatten(0, 1)
        return flat if self.positions is None else flat.index_select(0, self.positions)

    def back(self, values: Tensor, shape: torch.Size) -> Tensor:
        """(M,) to `shape` (B, P), 0 at all other rows."""
        if self.positions is None:
            return values.view(shape)
        return values.new_zeros(shape).view(-1).scatter_(0, self.positions, values).view(shape)

    def clear(self, values: Tensor) -> Tensor:
        """Values (M, ...) with 0 in rows that do not count, which then get no gradient."""
        if self.mask is None:
            return values
        return torch.where(self.mask.view(-1, *[1] * (values.dim() - 1)), values, 0)

    def losses(self, loss: PairLoss, predicted: Tensor, target: Tensor) -> Tensor:
        """Losses (M,) of pairs of values (M, D), arbitrary in rows that do not count."""
        if self.mask is not None and isinstance(loss, LossOfRows):
            return loss.of_rows(predicted, target, self.mask)
        return loss(predicted, target)


def rows_in(mask: Tensor) -> Rows:
    """The rows of a mask (B, P): those that are true, or all of them where shapes are fixed."""
    if is_eager_cpu(mask):
        return Rows(mask.flatten().nonzero().squeeze(1), None)
    return Rows(None, mask.flatten())
