"""Stop a training that no longer improves."""

from __future__ import annotations

import logging
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import EarlyStopping

from detkit.registry import NonNegativeFloat, PositiveInt, register
from detkit.text import counted

_log = logging.getLogger("detkit.training")


@register("callback", "early_stop")
class EarlyStop(EarlyStopping):
    """Stop when a number of validations in a row have not improved the AP.

    A run that stopped early resumes only with a higher patience.

    Lightning's callback does the counting. This class adds messages, uses the new patience of a
    resumed run, and keeps a stopped run stopped.

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
        super().__init__(
            monitor,
            min_delta=minimum_improvement,
            patience=patience,
            mode="max",
            strict=False,  # a run without this metric or without validation continues
            check_finite=False,  # NaN counts as no improvement
            check_on_train_epoch_end=False,  # patience counts validations, not epochs
        )

    @property
    def state_key(self) -> str:
        """The key of the state in a checkpoint; a different monitor resumes from it, too."""
        return type(self).__qualname__

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End a resumed training that had already stopped."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True
            _log.info(
                "the training is complete: it stopped early, after %s without improvement; a "
                "higher patience of the callback early_stop lets it continue",
                counted(self.wait_count, "validation"),
            )

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count the validation, and log the reason if training stops now."""
        count_before = self.wait_count
        super().on_validation_end(trainer, pl_module)
        if self.wait_count > count_before and self.wait_count >= self.patience:
            _log.info("stopping early: %s", self._reason())

    def _reason(self) -> str:
        validations = counted(self.wait_count, "validation")
        if not torch.isfinite(self.best_score):
            return f"{self.monitor} has not had a valid value in {validations}"
        least = float(self.best_score) + self.min_delta
        return f"{self.monitor} has not risen above {least:.4f} in {validations}"

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the count and the best score, but not the patience, which may have changed."""
        if "waited" in state_dict:  # a checkpoint of detkit before it used Lightning's callback
            self.wait_count = state_dict["waited"]
            self.best_score = torch.tensor(state_dict["best"])
            return
        super().load_state_dict({**state_dict, "patience": self.patience})
