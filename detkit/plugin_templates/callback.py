"""A callback: code that runs at certain points of the training."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from detkit import Wired, register
from detkit.registry import PositiveInt


@register("callback", "my_callback")
class MyCallback(pl.Callback):
    """Write the minutes and the mean loss of each epoch to `epochs.csv` in the run folder.

    Args:
        run_folder: The folder of the run.
        every: Number of epochs between two lines.
    """

    def __init__(self, *, run_folder: Wired[str], every: PositiveInt = 1) -> None:
        self.file = Path(run_folder) / "epochs.csv"
        self.every = every
        self._started = 0.0
        self._losses: list[Any] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self._started = time.monotonic()
        self._losses = []

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Store the loss on the device, since reading its value would wait for the device."""
        self._losses.append(outputs["loss"].detach())

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write a line; only the first rank does."""
        if not trainer.is_global_zero or (trainer.current_epoch + 1) % self.every:
            return
        losses = [float(loss) for loss in self._losses]
        mean = sum(losses) / max(len(losses), 1)
        minutes = (time.monotonic() - self._started) / 60
        is_new = not self.file.exists()
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self.file.open("a", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            if is_new:
                rows.writerow(["epoch", "loss", "minutes"])
            rows.writerow([trainer.current_epoch, f"{mean:.6g}", f"{minutes:.3f}"])
