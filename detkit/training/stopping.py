"""Stop a training on a signal: the first one saves a checkpoint, a second one stops at once."""

from __future__ import annotations

import logging
import shlex
import signal
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from detkit.errors import Stopped
from detkit.files import display_path
from detkit.interruption import StopSignals, signal_name
from detkit.runs.training_position import Position
from detkit.training.callbacks.checkpoints import Checkpoints
from detkit.training.rank_agreement import any_rank, is_step_start

_log = logging.getLogger("detkit.training")


class StopOnSignal(pl.Callback):
    """Stops a training between two batches, with a checkpoint, after a stop signal.

    Stop signals are Ctrl-C, SIGTERM, SIGHUP (the terminal was closed) and SIGUSR1 (which SLURM is
    usually configured to send some time before it ends a job). A second one stops the training at
    once. Replaces Lightning's handler of SIGTERM, which ends the training without a checkpoint.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._signals = StopSignals(self._receive, counts_presses=True)
        self._last_path: Path | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Handle stop signals."""
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, Checkpoints):
                self._last_path = callback.last_path
        self._signals.__enter__()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the earlier handlers."""
        self._signals.__exit__(None, None, None)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Restore the earlier handlers."""
        self.on_train_end(trainer, pl_module)

    def _receive(self, number: int) -> None:
        if self.received is not None:
            raise Stopped(f"stopped at once; {_kept(self._last_path)}", number)
        self.received = number
        _log.warning(
            "%s: stopping after this step or the running validation, with a checkpoint; press "
            "Ctrl-C to stop now",
            signal_name(number),
        )

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Save and stop, on all ranks before the same batch."""
        if not is_step_start(trainer, batch_idx):
            return
        if not any_rank(trainer, self.received is not None, batch_idx):
            return
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, Checkpoints):
                callback.save(trainer)
        where = Position(trainer.current_epoch, batch_idx)
        raise Stopped(f"stopped {where}; {_kept(self._last_path)}", self.received or signal.SIGTERM)

    def raise_if_received(self) -> None:
        """Stop a run whose training ended after the signal came.

        Raises:
            Stopped: The message says how to measure the trained detector.
        """
        if self.received is not None:
            raise Stopped(
                f"stopped after the training, before it was measured; {_kept(self._last_path)}",
                self.received,
            )


def _kept(last_path: Path | None) -> str:
    """Say which checkpoint is saved, and the command that resumes from it."""
    if last_path is None:
        return "nothing is saved: there is no callback that saves checkpoints"
    folder = display_path(last_path.parent.parent)
    command = f"detkit train {shlex.quote(f'ckpt={folder}')}"
    if not last_path.is_file():
        return f"nothing is saved yet; begin again with: {command}"
    return f"saved: {last_path.name}; resume with: {command}"
