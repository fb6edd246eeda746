"""Freeze parts of a detector for the first epochs of a training."""

from __future__ import annotations

import logging

import lightning.pytorch as pl
from lightning.pytorch.strategies import DDPStrategy

from detkit.detectors.freezing import Freezing, freeze
from detkit.text import listed
from detkit.training.module import detection_module
from detkit.training.training_limits import length_of

_log = logging.getLogger("detkit.training")


class FreezeUntil(pl.Callback):
    """Freezes parts for some epochs, then trains them.

    The optimizer holds their parameters from the start and skips them while they have no gradient,
    so its groups stay the same. What is frozen depends on the epoch alone: a resumed training needs
    no further state.
    """

    def __init__(self, freezing: Freezing) -> None:
        """Store what to freeze; `until` must be set."""
        self.freezing = freezing
        self._is_frozen = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Freeze at the start, also within an epoch of a resumed training."""
        self._follow(trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Unfreeze after the last frozen epoch."""
        self._follow(trainer, pl_module)

    def _follow(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        detector = detection_module(pl_module).detector
        until = self.freezing.until or 0
        if trainer.current_epoch < until and not self._is_frozen:
            line = freeze(detector, self.freezing)
            self._is_frozen = True
            _exchange_gradients_again(trainer)
            if trainer.is_global_zero:
                _log.info("%s", line)
                self._warn_if_never_trained(trainer)
        elif trainer.current_epoch >= until and self._is_frozen:
            detector.unfreeze()
            self._is_frozen = False
            _exchange_gradients_again(trainer)
            if trainer.is_global_zero:
                _log.info("freeze: all parameters train from epoch %d on", until + 1)

    def _warn_if_never_trained(self, trainer: pl.Trainer) -> None:
        epochs, until = length_of(trainer).epochs(trainer), self.freezing.until or 0
        if epochs is not None and epochs <= until:
            _log.warning(
                "freeze: %s will not train at all: the training ends after epoch %d, and "
                "freeze.until=%d. Lower it, or leave it out to freeze the parts for good.",
                listed(self.freezing.parts),
                epochs,
                until,
            )


def _exchange_gradients_again(trainer: pl.Trainer) -> None:
    """Let several devices exchange the gradients of the parameters that train now.

    PyTorch's DistributedDataParallel exchanges those of the parameters that trained when it wrapped
    the module, so it has to wrap the module anew.
    """
    strategy = trainer.strategy
    if isinstance(strategy, DDPStrategy):
        strategy.model = strategy.lightning_module
        strategy.configure_ddp()
