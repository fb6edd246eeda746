"""How a training is interrupted: once to stop where nothing is lost, twice to stop at once."""

from __future__ import annotations

import logging
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as pl

from detkit.errors import Stopped
from detkit.training.agreement import agreed, may_save
from detkit.training.callbacks.checkpoints import Checkpoints
from detkit.training.position import Position

_log = logging.getLogger("detkit.training")


class StopOnSignal(pl.Callback):
    """Ends a training between two batches after Ctrl-C, SIGTERM or SIGUSR1, with a checkpoint.

    A second Ctrl-C ends it at once. SIGUSR1 is what SLURM is mostly told to send some time before
    it ends a job. Before and after the training the signals mean what they mean elsewhere. They
    reach the main thread only, so in another one this does nothing. Lightning's own handler of
    SIGTERM is put aside: it ends the training before a checkpoint could be saved.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}
        self._last_path: Path | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the signals over."""
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, Checkpoints):
                self._last_path = callback.last_path
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
                self._before[number] = signal.signal(number, self._receive)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Give the signals back."""
        self.on_train_end(trainer, pl_module)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            raise Stopped(f"stopped at once; {_kept(self._last_path)}", number)
        self.received = number
        _log.warning(
            "stopping after this step, or after the validation if one is going on, with a "
            "checkpoint; press Ctrl-C again to stop now"
        )

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Save and stop, on all ranks before the same batch."""
        if not may_save(trainer, batch_idx):
            return
        if not agreed(trainer, self.received is not None, batch_idx):
            return
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, Checkpoints):
                callback.save(trainer)
        where = Position(trainer.current_epoch, batch_idx)
        raise Stopped(f"stopped {where}; {_kept(self._last_path)}", self.received or signal.SIGTERM)


def _kept(last_path: Path | None) -> str:
    """What there is to go on from, and the command."""
    if last_path is None:
        return "nothing is saved: there is no callback that saves checkpoints"
    folder = last_path.parent.parent
    if folder.is_relative_to(Path.cwd()):
        folder = folder.relative_to(Path.cwd())
    if not last_path.is_file():
        return f"nothing is saved yet; begin again with: detkit train ckpt={folder}"
    return f"saved: {last_path.name}; go on with: detkit train ckpt={folder}"
