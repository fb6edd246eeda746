"""Tell parts of the detector how much of the training is done."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl

from detkit.ops.training_progress import FollowsTraining
from detkit.training.training_limits import length_of


class PartProgress(pl.Callback):
    """Sets the progress of modules that follow it, as a function of the optimizer steps so far.

    So a resumed run continues with the same values.
    """

    def __init__(self) -> None:
        self._followers: list[FollowsTraining] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Find the modules."""
        modules = pl_module.modules()
        self._followers = [module for module in modules if isinstance(module, FollowsTraining)]

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Set the share of the steps that are done."""
        if not self._followers:
            return
        steps = trainer.global_step
        share = steps / max(length_of(trainer).total_steps(trainer, steps), 1)
        for module in self._followers:
            module.set_progress(min(share, 1.0))
