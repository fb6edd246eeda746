"""End a training after epochs, optimizer steps or minutes, whichever comes first."""

from __future__ import annotations

import logging
import math
import time
from typing import Any

import lightning.pytorch as pl

from detkit.training.rank_agreement import BATCHES_BETWEEN

UNLIMITED = -1  # Lightning's number of epochs if another limit ends the training
_UNKNOWN = 1_000_000  # steps of a training by minutes, before its first step
_log = logging.getLogger("detkit.training")


class TrainingLength(pl.Callback):
    """Ends a training at its limit, validates its last epoch, and tracks its progress.

    Minutes are wall-clock time from the first step on, including validations and checkpoints in
    between and the earlier starts of a resumed run; the work after the limit (last validation,
    measuring, report) does not count. With several ranks, the first one's clock decides, and the
    others ask for it every few steps.

    Args:
        max_epochs: None for no such limit.
        max_steps: Optimizer steps; None for no such limit.
        max_minutes: None for no such limit.
    """

    def __init__(
        self,
        max_epochs: int | None = None,
        max_steps: int | None = None,
        max_minutes: float | None = None,
    ) -> None:
        self.max_epochs = max_epochs
        self.max_steps = max_steps
        self.max_minutes = max_minutes
        self._seconds_before = 0.0  # in earlier starts of the run
        self._started: float | None = None
        self._time_share = 0.0  # of the minutes, the same on all ranks
        self._steps_per_epoch = 1

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock; a run that has reached its limit does not train further."""
        self._started = time.monotonic()
        self._count_steps(trainer)
        self._update_time(trainer)
        if self._is_reached(trainer):
            trainer.should_stop = True
            _log.info("the training is complete: %s reached", self.limit_text())
        self._validate_last_epoch(trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Make the last epoch end with a validation, whatever `validate_every` is."""
        self._validate_last_epoch(trainer)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """End the training with a validation at its limit, on all ranks at once."""
        is_last = batch_idx + 1 >= trainer.num_training_batches
        if (batch_idx + 1) % trainer.accumulate_grad_batches and not is_last:
            return  # gradients are not fully accumulated
        steps = (batch_idx + 1) // trainer.accumulate_grad_batches
        if trainer.world_size == 1 or is_last or steps % BATCHES_BETWEEN == 0:
            self._update_time(trainer)
        if self._is_reached(trainer):
            trainer.should_stop = True
            trainer.check_val_every_n_epoch = 1  # Lightning reads it after this hook

    def total_steps(self, trainer: pl.Trainer, step: int = 0) -> int:
        """Optimizer steps of the whole training, as known at a step.

        With minutes, this is an estimate from the share of the time that the steps so far took, so
        that a schedule ends when the time ends.

        Args:
            trainer: The trainer.
            step: Optimizer steps so far.
        """
        self._count_steps(trainer)
        if self._steps_per_epoch == 0:
            return 0
        limits = [math.inf if self.max_steps is None else self.max_steps]
        if self.max_epochs is not None:
            limits.append(self.max_epochs * self._steps_per_epoch)
        if self.max_minutes is not None:
            share = self._time_share
            limits.append(max(round(step / share), step + 1) if step and share else _UNKNOWN)
        return int(min(limits))

    def epochs(self, trainer: pl.Trainer) -> int | None:
        """Epochs of the whole training, the last one possibly partial; None if minutes decide."""
        if self.max_minutes is not None:
            return None
        return math.ceil(self.total_steps(trainer) / max(self._steps_per_epoch, 1))

    def epochs_left(self, trainer: pl.Trainer) -> int:
        """Known or estimated epochs from the current one to the last one, both included."""
        total = self.total_steps(trainer, trainer.global_step)
        return math.ceil(total / max(self._steps_per_epoch, 1)) - trainer.current_epoch

    def epoch_text(self, trainer: pl.Trainer) -> str:
        """The current epoch, counted from 1, and their number if known."""
        epochs = self.epochs(trainer)
        return f"epoch {trainer.current_epoch + 1}" + (f"/{epochs}" if epochs else "")

    def time_share(self) -> float:
        """Used share of the minutes; 0 without such a limit."""
        return self._time_share

    def seconds_left(self) -> float | None:
        """Seconds until the minutes are used up; None without such a limit."""
        if self.max_minutes is None:
            return None
        return max(60 * self.max_minutes - self._seconds(), 0.0)

    def limit_text(self) -> str:
        """The limits, written as a user sets them."""
        limits = {
            "trainer.max_epochs": self.max_epochs,
            "trainer.max_steps": self.max_steps,
            "trainer.max_minutes": self.max_minutes,
        }
        return " or ".join(f"{k}={v:g}" for k, v in limits.items() if v is not None)

    def state_dict(self) -> dict[str, Any]:
        """The seconds used so far; nothing without a limit of minutes."""
        return {} if self.max_minutes is None else {"seconds": self._seconds()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue counting from the seconds in the checkpoint."""
        self._seconds_before = float(state_dict.get("seconds", 0.0))

    def _seconds(self) -> float:
        running = 0.0 if self._started is None else time.monotonic() - self._started
        return self._seconds_before + running

    def _count_steps(self, trainer: pl.Trainer) -> None:
        batches = trainer.num_training_batches
        if math.isfinite(batches):
            self._steps_per_epoch = math.ceil(batches / trainer.accumulate_grad_batches)

    def _update_time(self, trainer: pl.Trainer) -> None:
        if self.max_minutes is None:
            return
        share = min(self._seconds() / (60 * self.max_minutes), 1.0)
        if trainer.world_size > 1:
            share = float(trainer.strategy.broadcast(share))
        self._time_share = share

    def _is_reached(self, trainer: pl.Trainer) -> bool:
        steps = self.max_steps is not None and trainer.global_step >= self.max_steps
        return steps or self._time_share >= 1.0

    def _validate_last_epoch(self, trainer: pl.Trainer) -> None:
        if trainer.current_epoch + 1 == self.max_epochs:
            trainer.check_val_every_n_epoch = 1


def length_of(trainer: pl.Trainer) -> TrainingLength:
    """The length of a trainer built by `make_trainer`; for any other trainer, its epochs."""
    for callback in getattr(trainer, "callbacks", ()):
        if isinstance(callback, TrainingLength):
            return callback
    return TrainingLength(trainer.max_epochs)
