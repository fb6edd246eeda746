"""Say when the loss runs away."""

from __future__ import annotations

import logging
import statistics
from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch
from torch import Tensor

from detkit.registry import PositiveInt, register

_log = logging.getLogger("detkit.training")

_FIRST = 3  # losses whose median is what the untrained model has; the first one is before any step
_RISE = 2.0  # times the best level
_EXPLOSION = 10.0  # times the untrained model's level: more than any batch or warm-up explains


class Divergence(NamedTuple):
    """A loss that ran away.

    Attributes:
        best: The lowest level that it had.
        now: Its level.
    """

    best: float
    now: float


class LossWatch:
    """Finds in a row of losses when they diverge; knows nothing of training.

    A level is the median of a window of losses, so that single bad batches do not count; the best
    level is the lowest median of `patience` levels in a row. The loss diverges when as many levels
    in a row are all twice the best one and, besides, above the middle between the best and the
    first level: noise around a low loss, multi-scale images and a warm-up do not do that. One level
    above ten times the start (for the first window: the first losses) is enough too.

    Args:
        window: Losses of a level.
        patience: Levels in a row.
    """

    def __init__(self, *, window: int, patience: int) -> None:
        self.window = window
        self.patience = patience
        self.start: float | None = None
        self.best: float | None = None
        self.levels: list[float] = []

    def add(self, losses: list[float]) -> Divergence | None:
        """Take the losses of one window, in their order."""
        level = statistics.median(losses)
        start = statistics.median(losses[:_FIRST]) if self.start is None else self.start
        self.start = level if self.start is None else self.start
        self.levels = [*self.levels, level][-self.patience :]
        best = start if self.best is None else self.best
        limit = max(_RISE * best, best + (self.start - best) / 2)
        is_full = len(self.levels) == self.patience
        if level > _EXPLOSION * start or (is_full and min(self.levels) > limit):
            return Divergence(best, level)
        if is_full:
            smoothed = statistics.median(self.levels)
            self.best = smoothed if self.best is None else min(self.best, smoothed)
        return None


@register("callback", "divergence")
class DivergenceWarning(pl.Callback):
    """Warn once when the loss has risen far above its best level and stays there.

    Args:
        window: Batches whose median loss is one level; the device is waited for once in so many.
        patience: Levels in a row that have to be too high.
    """

    def __init__(self, *, window: PositiveInt = 20, patience: PositiveInt = 5) -> None:
        self.watch = LossWatch(window=window, patience=patience)
        self._losses: list[Tensor] = []
        self._done = False

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the loss; look at a whole window. Rank 0 speaks for all."""
        if self._done or not trainer.is_global_zero:
            return
        self._losses.append(_total(outputs["parts"]))
        if len(self._losses) < self.watch.window:
            return
        found = self.watch.add(torch.stack(self._losses).tolist())
        self._losses = []
        if found is not None:
            self._done = True
            rate = trainer.optimizers[0].param_groups[0]["lr"]
            _log.warning(
                "THE LOSS DIVERGES: it is %.4g around step %d and was %.4g at its best; the "
                "learning rate there is %.3g. Stop, and train again with a lower "
                "optimizer.learning_rate (a third or a tenth), a longer scheduler.warmup_steps, or "
                "trainer.gradient_clip_norm=10.",
                found.now,
                trainer.global_step,
                found.best,
                rate,
            )

    def state_dict(self) -> dict[str, Any]:
        """The levels so far and whether it was said."""
        watch = self.watch
        return {
            "start": watch.start,
            "best": watch.best,
            "levels": watch.levels,
            "losses": [float(value) for value in self._losses],
            "done": self._done,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on comparing with the levels of the checkpoint."""
        self.watch.start, self.watch.best = state_dict["start"], state_dict["best"]
        self.watch.levels, self._done = state_dict["levels"], state_dict["done"]
        self._losses = [torch.tensor(value) for value in state_dict["losses"]]


def _total(parts: dict[str, Tensor]) -> Tensor:
    """The loss of a batch, without waiting for the device."""
    return torch.stack([v.float() for k, v in parts.items() if k.startswith("loss/")]).sum()
