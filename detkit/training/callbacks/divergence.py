"""Warn when the loss diverges."""

from __future__ import annotations

import logging
import statistics
from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch
from torch import Tensor

from detkit.registry import PositiveInt, register

_log = logging.getLogger("detkit.training")

_FIRST = 3  # batches whose median loss is that of the untrained model; the first precedes any step
_RISE = 2.0  # times the best level
_START_RISE = 3.0  # times the untrained model's, which three batches estimate only roughly
_EXPLOSION = 10.0  # times the untrained model's: more than any batch or warm-up explains


class Divergence(NamedTuple):
    """A loss that diverged.

    Attributes:
        best: Its lowest level.
        now: Its current level.
    """

    best: float
    now: float


class LossWatch:
    """Detects in a sequence of losses when they diverge.

    A level is the median of a window of losses, so that single bad batches do not count; the best
    level is the lowest median of `patience` levels in a row. The loss diverges when as many levels
    in a row are all more than twice the best one and above the middle between the best and the
    first level, which noise around a low loss, multi-scale images and a warm-up do not cause.
    Before there is a best level, three times the loss of the first batches is too high; ten times
    that loss is too high at any time.

    Args:
        window: Losses per level.
        patience: Levels in a row.
    """

    def __init__(self, *, window: int, patience: int) -> None:
        self.window = window
        self.patience = patience
        self.untrained: float | None = None
        self.best: float | None = None
        self.first = 0.0
        self.levels: list[float] = []

    def add(self, losses: list[float]) -> Divergence | None:
        """Add the losses of one window, in order."""
        level = statistics.median(losses)
        if self.untrained is None:
            self.untrained, self.first = statistics.median(losses[:_FIRST]), level
        self.levels = [*self.levels, level][-self.patience :]
        limit = _START_RISE * self.untrained
        if self.best is not None:
            limit = max(_RISE * self.best, (self.first + self.best) / 2)
        is_full = len(self.levels) == self.patience
        if level > _EXPLOSION * self.untrained or (is_full and min(self.levels) > limit):
            return Divergence(self.untrained if self.best is None else self.best, level)
        if is_full:
            smoothed = statistics.median(self.levels)
            self.best = smoothed if self.best is None else min(self.best, smoothed)
        return None

    def state_dict(self) -> dict[str, Any]:
        """The levels so far."""
        return {
            "untrained": self.untrained,
            "best": self.best,
            "first": self.first,
            "levels": self.levels,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue with the levels of an earlier start."""
        self.untrained, self.best = state["untrained"], state["best"]
        self.first, self.levels = state["first"], state["levels"]


@register("callback", "divergence")
class DivergenceWarning(pl.Callback):
    """Warn once when the loss has risen far above its best level and stays there.

    Args:
        window: Batches per level; also the batches between two waits for the device.
        patience: Levels in a row that must be too high.
    """

    def __init__(self, *, window: PositiveInt = 20, patience: PositiveInt = 5) -> None:
        self.watch = LossWatch(window=window, patience=patience)
        self._losses: list[Tensor] = []
        self._done = False

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Record the loss and check complete windows, on rank 0."""
        if self._done or not trainer.is_global_zero:
            return
        self._losses.append(_total(outputs["parts"]))
        if len(self._losses) < self.watch.window:
            return
        problem = self.watch.add(torch.stack(self._losses).tolist())
        self._losses = []
        if problem is not None:
            self._done = True
            rate = trainer.optimizers[0].param_groups[0]["lr"]
            _log.warning(
                "THE LOSS DIVERGES: it is %.4g around step %d and was %.4g at its best; the "
                "learning rate there is %.3g. Stop, and train again with a lower "
                "optimizer.learning_rate (a third or a tenth), a longer scheduler.warmup_steps, or "
                "trainer.gradient_clip_norm=10.",
                problem.now,
                trainer.global_step,
                problem.best,
                rate,
            )

    def state_dict(self) -> dict[str, Any]:
        """The levels so far and whether the warning was given."""
        losses = [float(value) for value in self._losses]
        return {"watch": self.watch.state_dict(), "losses": losses, "done": self._done}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue with the levels of the checkpoint."""
        self.watch.load_state_dict(state_dict["watch"])
        self._done = state_dict["done"]
        self._losses = [torch.tensor(value) for value in state_dict["losses"]]


def _total(parts: dict[str, Tensor]) -> Tensor:
    """The loss of a batch, without waiting for the device."""
    return torch.stack([v.float() for k, v in parts.items() if k.startswith("loss/")]).sum()
