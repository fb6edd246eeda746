"""Say early when a training cannot work."""

from __future__ import annotations

import logging
import math

import lightning.pytorch as pl

from detkit.registry import register

_log = logging.getLogger("detkit.training")

NOTHING_MATCHES = """\
AP50 IS 0 AFTER THE FIRST VALIDATION: no predicted box matches an object of its class at IoU 0.5.
After a few hundred steps from scratch this can be normal; otherwise check, in this order:
  1. the validation pictures of the run folder: do the boxes of the objects lie on the objects?
  2. the class names: are those of the training split and of the validation split the same, and in
     the same order?
  3. the losses in metrics.csv: do they fall? If not, lower optimizer.learning_rate.
  4. the sizes: are the objects, after resizing, as large as the priors expect?"""

NO_OBJECTS = """\
NO AP AFTER THE FIRST VALIDATION: the validation images have no object that counts. Check that \
the annotations of the validation split belong to its images."""


@register("callback", "first_validation")
class FirstValidation(pl.Callback):
    """Say loudly when the first validation finds no object at all, and what to check."""

    def __init__(self) -> None:
        self._done = False

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the AP50 of the first validation of a training from its start."""
        if self._done or "val/AP50" not in trainer.callback_metrics:
            return
        self._done = True
        score = float(trainer.callback_metrics["val/AP50"])
        if trainer.is_global_zero and (score == 0 or math.isnan(score)):
            _log.warning("%s", NO_OBJECTS if math.isnan(score) else NOTHING_MATCHES)

    def state_dict(self) -> dict[str, bool]:
        """Whether the first validation has been."""
        return {"done": self._done}

    def load_state_dict(self, state_dict: dict[str, bool]) -> None:
        """A resumed run has had its first validation."""
        self._done = state_dict["done"]
