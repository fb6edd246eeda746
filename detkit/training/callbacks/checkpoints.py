"""Save the best and the last checkpoint of a run."""

from __future__ import annotations

import logging
import math
import os
import shutil
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Checkpoint

from detkit.errors import Stopped
from detkit.registry import PositiveFloat, PositiveInt, Wired, register
from detkit.runs.layout import RunFolder
from detkit.training.rank_agreement import any_rank, is_step_start

_log = logging.getLogger("detkit.training")
PART = ".part"


@register("callback", "checkpoints")
class Checkpoints(Checkpoint):
    """Save `checkpoints/best.ckpt` (by AP) and `checkpoints/last.ckpt` in the run folder.

    A file gets its name only when it is completely on disk, so after a kill, a crash or with a full
    disk the previous file remains. A run that resumes from `last.ckpt` continues with the very next
    batch. Of equal APs, the later is the best; NaN never is, so a run without a valid AP has no
    `best.ckpt`.

    Lightning's ModelCheckpoint is not used: it saves the last state only when the state is also
    among the best, numbers its files, and forgets the best score in a run folder that was moved.

    Args:
        run_folder: Where the run writes.
        every: Epochs between two saves of the last state.
        minutes: Minutes within an epoch between two such saves; null saves at ends of epochs only.
        monitor: The metric that determines the best state, as in metrics.csv; `val/mask_AP` for a
            detector with a mask head.
    """

    def __init__(
        self,
        *,
        run_folder: Wired[str],
        every: PositiveInt = 1,
        minutes: PositiveFloat | None = 15.0,
        monitor: str = "val/AP",
    ) -> None:
        run = RunFolder(run_folder)
        self.best_path, self.last_path = run.best_checkpoint, run.last_checkpoint
        self.every = every
        self.minutes = minutes
        self.monitor = monitor
        self._saved_at = 0.0
        self.best_score: float | None = None
        self.best_epoch: int | None = None
        self._validated = False
        self._warned = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget a validation before this training, and delete incomplete files left by a kill."""
        self._validated = False
        self._saved_at = time.monotonic()
        if trainer.is_global_zero:
            self._remove_parts()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remove a best state without a valid AP, which earlier versions of detkit saved."""
        if trainer.is_global_zero and self.best_score is None and self.last_path.is_file():
            self.best_path.unlink(missing_ok=True)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Save within an epoch after `minutes`."""
        if self.minutes is None or not is_step_start(trainer, batch_idx):
            return
        due = time.monotonic() - self._saved_at >= 60 * self.minutes
        if any_rank(trainer, due, batch_idx):
            self.save(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record that there is a new score."""
        self._validated = self.monitor in trainer.callback_metrics
        if not (self._validated or self._warned) and trainer.is_global_zero:
            self._warned = True
            numbers = [n for n in trainer.callback_metrics if n.startswith("val/")]
            names = ", ".join(n for n in numbers if n.count("/") == 1)
            _log.warning(
                "callbacks.checkpoints.monitor=%s is none of the numbers of this validation (%s): "
                "without it there is no best checkpoint",
                self.monitor,
                names or "it has none",
            )

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save after validation, when the state of all other callbacks is complete."""
        is_best = self._validated and self._improves(trainer)
        self._validated = False
        ends = trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs
        if not (is_best or ends or (trainer.current_epoch + 1) % self.every == 0):
            return
        self.save(trainer, is_best)

    def save(self, trainer: pl.Trainer, is_best: bool = False) -> None:
        """Save the last state now; call it on every rank.

        The best state is renamed first, so that a run killed between the two repeats the epoch and
        finds the same best state again.
        """
        part = self.last_path.with_suffix(PART)
        try:
            trainer.save_checkpoint(part)
            if trainer.is_global_zero:
                if is_best:
                    _link_or_copy(part, self.best_path)
                os.replace(part, self.last_path)
        except (OSError, Stopped, KeyboardInterrupt):
            if trainer.is_global_zero:  # an incomplete file is useless, above all on a full disk
                self._remove_parts()
            raise
        trainer.strategy.barrier("checkpoints")
        self._saved_at = time.monotonic()

    def _remove_parts(self) -> None:
        for path in (self.last_path, self.best_path):
            path.with_suffix(PART).unlink(missing_ok=True)

    def _improves(self, trainer: pl.Trainer) -> bool:
        score = float(trainer.callback_metrics[self.monitor])
        if math.isnan(score) or (self.best_score is not None and score < self.best_score):
            return False
        self.best_score, self.best_epoch = score, trainer.current_epoch
        return True

    def state_dict(self) -> dict[str, Any]:
        """The best score so far and its epoch."""
        return {"best_score": self.best_score, "best_epoch": self.best_epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue with the best score of the checkpoint."""
        self.best_score, self.best_epoch = state_dict["best_score"], state_dict["best_epoch"]
        if self.best_score == -math.inf:  # earlier versions of detkit stored a NaN like this
            self.best_score = self.best_epoch = None


def _link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name atomically, as a hard link if the disk supports it."""
    part = target.with_suffix(PART)
    part.unlink(missing_ok=True)
    try:
        os.link(source, part)
    except OSError:
        shutil.copyfile(source, part)
    os.replace(part, target)
