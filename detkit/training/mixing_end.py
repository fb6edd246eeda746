"""End mixing in the last epochs of a training whose number of epochs is not known in advance."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl

from detkit.training.training_limits import length_of

_log = logging.getLogger("detkit.training")


def mixing_end(config: Mapping[str, Any]) -> list[pl.Callback]:
    """The callback that applies `close_mosaic` if the last epochs are not known in advance."""
    trainer, close_epochs = config["trainer"], config["augmentation"].get("close_mosaic", 0)
    if not close_epochs or trainer["max_steps"] is trainer["max_minutes"] is None:
        return []
    return [MixingEnd(close_epochs)]


class MixingEnd(pl.Callback):
    """Ends mosaic and other mixing of images in the expected last epochs.

    Args:
        close_epochs: The number of last epochs without mixing.
    """

    def __init__(self, close_epochs: int) -> None:
        self.close_epochs = close_epochs
        self._has_ended = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check when a run resumes within an epoch."""
        self._look(trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check before the epoch's images are loaded."""
        self._look(trainer)

    def _look(self, trainer: pl.Trainer) -> None:
        if self._has_ended or length_of(trainer).epochs_left(trainer) > self.close_epochs:
            return
        self._has_ended = True
        loader = trainer.train_dataloader
        if loader is not None and loader.dataset.end_mixing():
            _log.info(
                "images are no longer mixed from epoch %d on (augmentation.close_mosaic=%d)",
                trainer.current_epoch + 1,
                self.close_epochs,
            )
