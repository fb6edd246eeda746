"""What a training shows in the terminal."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ProgressBar
from torch import Tensor
from tqdm import tqdm

from detkit.registry import PositiveFloat, register
from detkit.structures import Batch
from detkit.training.position import position


@register("callback", "progress")
class Progress(ProgressBar):
    """Show epoch, loss parts, learning rate, images per second and the time left of the training.

    A line per epoch stays; in a terminal a bar moves below them. Elsewhere (a file, a pipe) there
    are only the lines.

    Args:
        refresh_seconds: Seconds between two updates of the bar; each waits for the GPU.
    """

    def __init__(self, *, refresh_seconds: PositiveFloat = 0.5) -> None:
        super().__init__()
        self.refresh_seconds = refresh_seconds
        self._shown = True
        self._bar: tqdm[Any] | None = None
        self._sums: dict[str, Tensor] = {}
        self._batches = 0
        self._images = 0
        self._batches_done = 0
        self._batches_before = 0
        self._validated = False
        self._start = self._epoch_start = self._last_refresh = 0.0
        self._training_seconds = 0.0

    def disable(self) -> None:
        """Show nothing: Lightning asks so of all ranks but the first."""
        self._shown = False

    def enable(self) -> None:
        """Show again."""
        self._shown = True

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock, and a bar where a training goes on within an epoch."""
        self._start = time.monotonic()
        self._batches_done = 0
        before = position(trainer)
        self._batches_before = before.epoch * int(self.total_train_batches) + before.batch
        if before.batch:
            self._start_epoch(before.batch)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start a bar."""
        self._start_epoch()

    def _start_epoch(self, batches_before: int = 0) -> None:
        self._sums, self._batches, self._images, self._validated = {}, 0, 0, False
        self._epoch_start = self._last_refresh = time.monotonic()
        if self._shown and sys.stderr.isatty():
            self._bar = tqdm(
                total=int(self.total_train_batches),
                initial=batches_before,
                leave=False,
                dynamic_ncols=True,
                bar_format="{desc} |{bar:20}| {n_fmt}/{total_fmt}{postfix}",
            )

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Add up on the device; read rarely."""
        for name, value in outputs["parts"].items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._batches += 1
        self._batches_done += 1
        self._images += len(batch) * trainer.world_size
        now = time.monotonic()
        self._training_seconds = now - self._epoch_start
        if self._bar is not None and now - self._last_refresh >= self.refresh_seconds:
            self._last_refresh = now
            self._bar.n = self._bar.initial + self._batches
            self._bar.set_description_str(_epoch(trainer), refresh=False)
            self._bar.set_postfix_str(self._numbers(trainer))

    def on_validation_batch_end(  # noqa: PLR0917  # Lightning's signature
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count the validation's batches in the bar."""
        now = time.monotonic()
        if self._bar is not None and now - self._last_refresh >= self.refresh_seconds:
            self._last_refresh = now
            total = self.total_val_batches
            self._bar.set_description_str(f"{_epoch(trainer)} validating {batch_idx + 1}/{total}")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note that the scores are fresh."""
        self._validated = True

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Replace the bar with the epoch's line."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        if self._shown and self._batches:
            scores = _scores(trainer) if self._validated else ""
            tqdm.write(f"{_epoch(trainer)}  {self._numbers(trainer)}{scores}", file=sys.stderr)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Leave the terminal clean for the message."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _numbers(self, trainer: pl.Trainer) -> str:
        """Means over the epoch so far, and the time that all remaining batches will take."""
        means = {name: float(value) / self._batches for name, value in self._sums.items()}
        total = sum(value for name, value in means.items() if name.startswith("loss/"))
        parts = ", ".join(f"{name.split('/')[-1]} {value:.3f}" for name, value in means.items())
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        speed = self._images / max(self._training_seconds, 1e-9)
        return (
            f"loss {total:.3f} ({parts})  lr {rate:.2e}  {speed:.1f} images/s  "
            f"{self._time_left(trainer)} left"
        )

    def _time_left(self, trainer: pl.Trainer) -> str:
        all_batches = self.total_train_batches * (trainer.max_epochs or 0) - self._batches_before
        elapsed = time.monotonic() - self._start
        left = elapsed * (all_batches - self._batches_done) / max(self._batches_done, 1)
        return str(timedelta(seconds=round(max(left, 0))))


def _epoch(trainer: pl.Trainer) -> str:
    return f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"


def _scores(trainer: pl.Trainer) -> str:
    shown = {"AP": "val/AP", "AP50": "val/AP50"}
    known = trainer.callback_metrics
    return "".join(f"  {n} {float(known[k]):.3f}" for n, k in shown.items() if k in known)
