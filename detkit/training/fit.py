"""Run one training, from the start or from a checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import lightning.pytorch as pl

from detkit.structures import Batch
from detkit.training.accumulation import ReadAhead
from detkit.training.loggers import TensorBoard, Wandb
from detkit.training.module import DetectionModule
from detkit.training.pace import pace_of
from detkit.training.stopping import StopOnSignal


def fit(
    module: DetectionModule,
    trainer: pl.Trainer,
    train_loader: Iterable[Batch],
    validation_loader: Iterable[Batch] | None = None,
    resume: str | None = None,
) -> None:
    """Train; the loggers stay open for the results.

    Args:
        module: The module to train; afterwards it has the averaged weights if a callback averages.
        trainer: Built by `make_trainer`.
        train_loader: Batches of the training split; if the training resumes within an epoch, only
            the remaining ones of that epoch.
        validation_loader: Batches of the validation split.
        resume: A checkpoint to resume from; only tensors and plain values are read, no code.

    Raises:
        Stopped: A stop signal came.
    """
    pace = pace_of(trainer)
    if pace is not None:
        pace.expect(train_loader, validation_loader)
    if trainer.accumulate_grad_batches > 1:
        train_loader = ReadAhead(train_loader, trainer.accumulate_grad_batches)
    trainer.fit(module, train_loader, validation_loader, ckpt_path=resume, weights_only=True)
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    for callback in callbacks if trainer.is_global_zero else []:
        if isinstance(callback, StopOnSignal):
            callback.raise_if_received()


@contextmanager
def closing_loggers(trainer: pl.Trainer) -> Iterator[None]:
    """Close the loggers of a trainer at the end, even after an error."""
    try:
        yield
    finally:
        for logger in trainer.loggers:
            if isinstance(logger, (Wandb, TensorBoard)):
                logger.close()
