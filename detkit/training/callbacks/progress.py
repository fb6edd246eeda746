"""Show the progress of a training in the terminal."""

from __future__ import annotations

import sys
import time
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import ProgressBar
from torch import Tensor

from detkit.registry import PositiveFloat, register
from detkit.structures import Batch
from detkit.terminal import StatusLine, columns, is_terminal
from detkit.text import counted, duration
from detkit.training.pace import Pace, pace_of
from detkit.training.training_limits import length_of

_BAR = 10  # characters


@register("callback", "progress")
class Progress(ProgressBar):
    """Show epoch, time left, loss parts, images per second and learning rate of the training.

    Prints one line per epoch. In a terminal, a status line below them shows the progress and,
    before the first step ends, what the training is waiting for. Elsewhere (a file, a pipe) there
    are only lines: one per epoch, and some during a long epoch or validation.

    Args:
        refresh_seconds: Seconds between two updates of the status line; each waits for the GPU.
        line_seconds: Maximum seconds between two lines if there is no terminal.
    """

    def __init__(
        self, *, refresh_seconds: PositiveFloat = 0.5, line_seconds: PositiveFloat = 60.0
    ) -> None:
        super().__init__()
        self.refresh_seconds = refresh_seconds
        self.line_seconds = line_seconds
        self._is_enabled = True
        self._status: StatusLine | None = None
        self._sums: dict[str, Tensor] = {}
        self._batches = 0
        self._images = 0
        self._is_validated = False
        self._epoch_start = self._last_update = 0.0
        self._training_seconds = 0.0

    def disable(self) -> None:
        """Show nothing; Lightning calls this on all ranks but the first."""
        self._is_enabled = False

    def enable(self) -> None:
        """Show again."""
        self._is_enabled = True

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the status line, and show what the training is waiting for."""
        self._last_update = time.monotonic()
        if self._is_enabled and trainer.is_global_zero and is_terminal(sys.stderr):
            self._status = StatusLine(sys.stderr)
            self._status.open()
        pace = pace_of(trainer)
        workers = 0 if pace is None else pace.workers
        waiting = f"starting {counted(workers, 'loader process')}" if workers else "loading images"
        self._show(f"{waiting} for the first batch")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start an epoch that resumes after some of its batches."""
        self._start_epoch()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start an epoch."""
        self._start_epoch()

    def _start_epoch(self) -> None:
        self._sums, self._batches, self._images, self._is_validated = {}, 0, 0, False
        self._epoch_start = time.monotonic()

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Start the epoch's line; the first step includes compilation and the start of GPUs."""
        if self._batches == 0:
            self._show(self._line(trainer, batch_idx, time_left(trainer) or ["first step"]))

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Sum the losses on the device; read them rarely."""
        for name, value in outputs["parts"].items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._batches += 1
        self._images += len(batch) * trainer.world_size
        self._training_seconds = time.monotonic() - self._epoch_start
        if self._is_due():
            self._update(self._line(trainer, batch_idx + 1, self._numbers(trainer)))

    def on_validation_batch_end(  # noqa: PLR0917  # Lightning's signature
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count the validation's batches."""
        if self._is_due():
            remaining = time_left(trainer)
            state = f"validating {batch_idx + 1}/{self.total_val_batches}"
            self._update(", ".join([f"{_epoch(trainer)} {state}", *remaining]))

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show that the validation begins."""
        self._show(", ".join([f"{_epoch(trainer)} validating", *time_left(trainer)]))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record that the scores are new; checkpoints and pictures follow."""
        self._is_validated = True
        self._show(f"{_epoch(trainer)} saving")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the epoch's line."""
        if self._is_enabled and self._batches:
            scores = _scores(trainer) if self._is_validated else []
            parts = [*scores, *self._numbers(trainer, ended=True)]
            _write_line(fitted(_epoch(trainer), parts, self._width(), "  "))
            self._last_update = time.monotonic()

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the terminal."""
        self._close()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Leave the terminal clean for the message."""
        self._close()

    def _close(self) -> None:
        if self._status is not None:
            self._status.close()
            self._status = None

    def _show(self, text: str) -> None:
        """Replace the status line; do nothing without a terminal."""
        if self._status is not None:
            self._status.show(text)

    def _is_due(self) -> bool:
        """Whether it is time to read the numbers from the device."""
        if not self._is_enabled:
            return False
        now = time.monotonic()
        is_first = self._status is not None and self._batches <= 2  # noqa: PLR2004  # at once
        every = self.line_seconds if self._status is None else self.refresh_seconds
        return is_first or now - self._last_update >= every

    def _update(self, text: str) -> None:
        self._last_update = time.monotonic()
        if self._status is None:
            _write_line(text)
        else:
            self._status.show(text)

    def _line(self, trainer: pl.Trainer, batches: int, parts: list[str]) -> str:
        """Epoch, bar and counts, and as many complete parts as fit into the terminal."""
        total = int(self.total_train_batches)
        filled = round(_BAR * batches / max(total, 1))
        bar = f"[{'#' * filled}{'-' * (_BAR - filled)}]" if self._status else "batch"
        line = f"{_epoch(trainer)} {bar} {batches:,}/{total:,}"
        return fitted(line, parts, self._width())

    def _width(self) -> int | None:
        """Characters of a line; None without a terminal."""
        return None if self._status is None else columns(sys.stderr) - 1

    def _numbers(self, trainer: pl.Trainer, ended: bool = False) -> list[str]:
        """The time left, means over the epoch so far, and speed; the most important first.

        Args:
            trainer: The trainer.
            ended: Whether the epoch has ended; after the last one there is no time left.
        """
        remaining = time_left(trainer) or ([] if ended else ["measuring the pace"])
        if ended and (trainer.should_stop or trainer.current_epoch + 1 == trainer.max_epochs):
            remaining = []
        means = {name: float(value) / self._batches for name, value in self._sums.items()}
        total = sum(value for name, value in means.items() if name.startswith("loss/"))
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        speed = self._images / max(self._training_seconds, 1e-9)
        return [
            *remaining,
            f"loss {total:.3f}",
            f"{speed:.1f} images/s",
            *(f"{name.split('/')[-1]} {value:.3f}" for name, value in means.items()),
            f"lr {rate:.2e}",
        ]


def fitted(start: str, parts: list[str], width: int | None, separator: str = ", ") -> str:
    """A line with as many complete parts as fit, but at least the first one."""
    line = start
    for number, part in enumerate(parts):
        longer = f"{line}{separator}{part}"
        if number and width is not None and len(longer) > width:
            break
        line = longer
    return line


def time_left(trainer: pl.Trainer) -> list[str]:
    """The remaining time of the training; empty before it is known."""
    pace: Pace | None = pace_of(trainer)
    seconds = None if pace is None else pace.seconds_left(trainer)
    return [] if seconds is None else [f"{duration(seconds)} left"]


def _write_line(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _epoch(trainer: pl.Trainer) -> str:
    return length_of(trainer).epoch_text(trainer)


def _scores(trainer: pl.Trainer) -> list[str]:
    keys = {"AP": "val/AP", "AP50": "val/AP50", "mask AP": "val/mask_AP"}
    metrics = trainer.callback_metrics
    return [f"{name} {float(metrics[key]):.3f}" for name, key in keys.items() if key in metrics]
