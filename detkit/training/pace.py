"""Measure the speed of a training and estimate its remaining time."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader

from detkit.runs.progress_file import Status, write_status
from detkit.runs.training_position import position
from detkit.structures import Batch
from detkit.text import duration
from detkit.training.training_advice import device_text, size_text
from detkit.training.training_limits import length_of

_log = logging.getLogger("detkit.run")
# Batches and seconds to measure before the whole training is estimated; either pair suffices.
_ENOUGH = ((10, 5.0), (2, 20.0))
_VALIDATION_SHARE = 0.5  # of a training step's time for the same images; before it is measured
_WRITE_EVERY = 5.0  # seconds between two writes of the status file
_LONG = 6 * 3600.0  # seconds of a training on a CPU that call for advice
_TOO_LONG = (
    "for so long a training on a CPU, use a smaller network and smaller images "
    "(experiment=finetune with your data.path), or a machine with a GPU"
)


class Pace(pl.Callback):
    """Measures batches and validations, logs estimates, and updates the status file.

    Part of every training; the progress bar gets the remaining time from it. The first batch does
    not count once there are others, as it includes the start of loader processes and compilation.
    """

    def __init__(self) -> None:
        self.workers = 0
        self.validation_images = 0
        self._epoch = self._batch = 0  # finished epochs, and finished batches of the next one
        self._batches = 0  # of an epoch
        self._batch_seconds = 0.0
        self._measured = 0
        self._images = 0
        self._rests: dict[bool, list[float]] = {True: [], False: []}  # by: with a validation
        self._is_validating = self._validated = False
        self._last = self._written = 0.0
        self._rest_began: float | None = None
        self._is_stated = False

    def expect(self, train_loader: Iterable[Batch], validation_loader: Any) -> None:
        """Record the sizes of the loaders before the training starts.

        Args:
            train_loader: Batches to train on.
            validation_loader: Batches to validate on, or None.
        """
        if isinstance(train_loader, DataLoader):
            self.workers = train_loader.num_workers
        if isinstance(validation_loader, DataLoader):
            self.validation_images = len(validation_loader.dataset)  # type: ignore[arg-type]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the number of steps and the device."""
        self._batches = int(trainer.num_training_batches)
        self._epoch, self._batch, _ = position(trainer)
        self._last = time.monotonic()
        if trainer.is_global_zero and not trainer.should_stop:  # else it is complete
            _log.info("training: %s %s", size_text(trainer), device_text(trainer))
            self._write(trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the time that the last epoch's end took: validation, checkpoints, pictures."""
        now = time.monotonic()
        if self._rest_began is not None:
            self._rests[self._validated].append(now - self._rest_began)
        self._rest_began, self._validated = None, False
        self._epoch, self._batch = trainer.current_epoch, 0
        self._last = now

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Measure the batch; log the length of the training once it can be estimated."""
        now = time.monotonic()
        if self._measured == 0:
            now = _synchronised(trainer)
        else:
            self._batch_seconds += now - self._last
            self._images += len(batch) * trainer.world_size
        self._last = now
        self._measured += 1
        self._batch = batch_idx + 1
        is_last = batch_idx + 1 >= self._batches
        if is_last:
            self._rest_began = now
        enough = any(
            self._measured > count and self._batch_seconds >= least for count, least in _ENOUGH
        )
        if not self._is_stated and (enough or is_last):
            self._state(trainer)
        if trainer.is_global_zero and (is_last or now - self._written >= _WRITE_EVERY):
            self._write(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record that the training waits."""
        self._is_validating = self._validated = True
        if trainer.is_global_zero and not trainer.sanity_checking:
            self._write(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record that the training continues."""
        self._is_validating = False

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record that only the final measurement remains."""
        if trainer.is_global_zero:
            self._write(trainer, "measuring")

    def seconds_left(self, trainer: pl.Trainer) -> float | None:
        """Estimated seconds until the training ends; None before it can be known."""
        batch = self.seconds_per_batch
        if batch is None:
            return None
        length = length_of(trainer)
        by_time = length.seconds_left()
        epochs = length.epochs(trainer)
        if epochs is None:
            return None if by_time is None else by_time + self._rest(True)
        total = length.total_steps(trainer) * trainer.accumulate_grad_batches
        total = min(total, self._batches * epochs)
        seconds = batch * max(total - self._batches * self._epoch - self._batch, 0)
        every = trainer.check_val_every_n_epoch or 1
        for epoch in range(self._epoch + 1, epochs + 1):
            seconds += self._rest(epoch % every == 0 or epoch == epochs)
        if self._rest_began is not None:
            seconds -= time.monotonic() - self._rest_began
        return max(seconds, 0.0)

    @property
    def seconds_per_batch(self) -> float | None:
        """Mean seconds of a batch, loading included; None before two batches."""
        counted = self._measured - 1
        return self._batch_seconds / counted if counted > 0 else None

    @property
    def images_per_second(self) -> float | None:
        """Training images per second on all devices; None before two batches."""
        return self._images / self._batch_seconds if self._batch_seconds > 0 else None

    def _rest(self, validates: bool) -> float:
        """Expected seconds between the last batch of an epoch and the next epoch."""
        measured = self._rests[validates]
        if measured:
            return sum(measured) / len(measured)
        if not validates or not self._images:
            return 0.0
        image = self._batch_seconds / self._images
        return _VALIDATION_SHARE * image * self.validation_images

    def _state(self, trainer: pl.Trainer) -> None:
        self._is_stated = True
        if not trainer.is_global_zero:
            return
        self._batch_seconds += _synchronised(trainer) - self._last
        self._last = time.monotonic()
        seconds = self.seconds_left(trainer)
        if seconds is None or self.images_per_second is None:
            return
        _log.info(
            "pace: %.3g images/s; the training will end in about %s, at %s",
            self.images_per_second,
            duration(seconds),
            _clock(seconds),
        )
        if seconds > _LONG and trainer.strategy.root_device.type == "cpu":
            _log.warning("%s", _TOO_LONG)

    def _write(self, trainer: pl.Trainer, state: str | None = None) -> None:
        self._written = time.monotonic()
        length = length_of(trainer)
        epochs, fraction = length.epochs(trainer), length.time_share()
        if epochs is not None:
            total = length.total_steps(trainer) * trainer.accumulate_grad_batches
            fraction = (self._batches * self._epoch + self._batch) / max(total, 1)
        status = Status(
            epoch=self._epoch + 1,
            epochs=epochs,
            fraction=min(fraction, 1.0),
            seconds_left=self.seconds_left(trainer),
            state=state or ("validating" if self._is_validating else "training"),
        )
        write_status(Path(trainer.default_root_dir), status)


def _synchronised(trainer: pl.Trainer) -> float:
    """The time at which the device has finished its queued work."""
    if trainer.strategy.root_device.type == "cuda":
        torch.cuda.synchronize(trainer.strategy.root_device)
    return time.monotonic()


def pace_of(trainer: pl.Trainer) -> Pace | None:
    """The pace of a trainer built by `make_trainer`."""
    return next((c for c in trainer.callbacks if isinstance(c, Pace)), None)  # type: ignore[attr-defined]


def _clock(seconds: float) -> str:
    """The time of day after some seconds, with the date if that is another day."""
    end, now = datetime.now() + timedelta(seconds=seconds), datetime.now()
    return f"{end:%H:%M}" if end.date() == now.date() else f"{end:%H:%M on %Y-%m-%d}"
