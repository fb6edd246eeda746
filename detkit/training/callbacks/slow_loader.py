"""Warn when the device waits for images."""

from __future__ import annotations

import logging
import math
import os
import sys
import time
from typing import Any

import lightning.pytorch as pl
import torch

from detkit.registry import Fraction, NonNegativeFloat, NonNegativeInt, PositiveInt, register

_log = logging.getLogger("detkit.training")


@register("callback", "slow_loader")
class SlowLoader(pl.Callback):
    """Warn once if the training spends too much time waiting for the next batch.

    Only the time between two batches of an epoch counts, not that between epochs (validation,
    checkpoints).

    Args:
        share: Share of the time above which to warn.
        batches: Number of batches to measure.
        skip: Batches at the start of each epoch that do not count, since loaders start up.
        seconds: Minimum total waiting time for a warning.
    """

    def __init__(
        self,
        *,
        share: Fraction = 0.3,
        batches: PositiveInt = 50,
        skip: NonNegativeInt = 5,
        seconds: NonNegativeFloat = 3.0,
    ) -> None:
        self.share = share
        self.batches = batches
        self.skip = skip
        self.seconds = seconds
        self._waits: list[float] = []
        self._works: list[float] = []
        self._ended: float | None = None
        self._started = 0.0
        self._done = False

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget when the last batch ended, since a validation came in between."""
        self._ended = None

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Record that the batch has arrived."""
        self._started = time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Record the waiting and computing time of the batch; check when there are enough."""
        if self._done or not trainer.is_global_zero:
            return
        now = time.perf_counter()
        if self._ended is not None and batch_idx >= self.skip:
            self._waits.append(self._started - self._ended)
            self._works.append(now - self._started)
        self._ended = now
        if len(self._waits) == self.batches:
            self._look(trainer)
            self._waits, self._works = [], []

    def _look(self, trainer: pl.Trainer) -> None:
        waited, worked = sum(self._waits), sum(self._works)
        share = waited / max(waited + worked, 1e-9)
        if share < self.share or waited < self.seconds:
            return
        self._done = True
        loader = trainer.train_dataloader
        workers = getattr(loader, "num_workers", 0)  # ReadAhead is not a DataLoader
        text = starved_text(
            share,
            workers=workers,
            cores=cores_here() // max(trainer.num_devices, 1),
            threads=torch.get_num_threads() if _on_cpu(trainer) else 0,
        )
        _log.warning("%s", text)

    def state_dict(self) -> dict[str, bool]:
        """Whether the warning was given."""
        return {"done": self._done}

    def load_state_dict(self, state_dict: dict[str, bool]) -> None:
        """Do not repeat the warning in a resumed run."""
        self._done = state_dict["done"]


def starved_text(share: float, *, workers: int, cores: int, threads: int) -> str:
    """The warning, with the setting to change.

    Args:
        share: Share of the time spent waiting.
        workers: Current number of loader processes.
        cores: CPU cores per device.
        threads: Threads of the training itself on a CPU; 0 on a GPU.
    """
    start = f"LOADING IMAGES TAKES {share:.0%} OF THE TRAINING'S TIME"
    easier = "smaller images or fewer transforms (augmentation=standard) help"
    free = cores - threads
    # Loading must be faster by 1 / (1 - share) to keep pace, and one process does it now.
    suggested = min(
        max(math.ceil(max(workers, 1) / (1 - min(share, 0.9))), workers + 1), max(free, 1)
    )
    if threads and free < 1:
        return (
            f"{start} (data.workers={workers}); the training computes on all {cores} CPU cores, so "
            f"more workers would only take them from it: {easier}."
        )
    if workers >= free:
        return (
            f"{start} (data.workers={workers}); no CPU core is free for more of them ({cores} "
            f"for each device), so {easier}."
        )
    if workers == 0:
        return (
            f"{start}, since the training process does it itself (data.workers=0): set "
            f"data.workers={suggested}; {easier} too."
        )
    return f"{start} (data.workers={workers}): raise data.workers to {suggested}; {easier} too."


def cores_here() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _on_cpu(trainer: pl.Trainer) -> bool:
    return bool(trainer.strategy.root_device.type == "cpu")
