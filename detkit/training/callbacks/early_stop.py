"""Stop a training that no longer improves."""

from __future__ import annotations

import logging
import math
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.trainer.states import TrainerFn

from detkit.registry import NonNegativeFloat, PositiveInt, register
from detkit.text import counted

_log = logging.getLogger("detkit.training")


@register("callback", "early_stop")
class EarlyStop(pl.Callback):
    """Stop when a number of validations in a row have not improved the AP.

    A run that was stopped like this trains on only with a higher patience.

    Args:
        patience: Validations without improvement after which training stops.
        minimum_improvement: How much higher than the best so far an AP (0..1) must be.
        monitor: The number that must rise, as in metrics.csv.
    """

    def __init__(
        self,
        *,
        patience: PositiveInt = 10,
        minimum_improvement: NonNegativeFloat = 0.0,
        monitor: str = "val/AP",
    ) -> None:
        self.patience = patience
        self.minimum_improvement = minimum_improvement
        self.monitor = monitor
        self.best = -math.inf
        self.waited = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End a resumed training that had stopped already."""
        if self.waited >= self.patience:
            trainer.should_stop = True
            _log.info(
                "the training is complete: it stopped early, after %s without improvement; a "
                "higher patience of the callback early_stop lets it go on",
                counted(self.waited, "validation"),
            )

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare; a number that is NaN counts as no improvement. All ranks see the same one."""
        scores = trainer.callback_metrics
        if trainer.state.fn != TrainerFn.FITTING or self.monitor not in scores:
            return
        score = float(scores[self.monitor])
        if score > self.best + self.minimum_improvement:
            self.best, self.waited = score, 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            trainer.should_stop = True
            _log.info("stopping early: %s", self._reason())

    def _reason(self) -> str:
        validations = counted(self.waited, "validation")
        if self.best == -math.inf:
            return f"{self.monitor} has not had a valid value in {validations}"
        least = self.best + self.minimum_improvement
        return f"{self.monitor} has not risen above {least:.4f} in {validations}"

    def state_dict(self) -> dict[str, Any]:
        """The best score and the patience that is used up."""
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where the checkpoint was."""
        self.best, self.waited = state_dict["best"], state_dict["waited"]
