"""Stop when a loss is no longer a number."""

from __future__ import annotations

from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch
from torch import Tensor

from detkit.errors import UserError
from detkit.registry import PositiveInt, register
from detkit.structures import Batch


class _Step(NamedTuple):
    number: int
    total: Tensor
    parts: dict[str, Tensor]
    paths: list[str]


@register("callback", "non_finite")
class NonFinite(pl.Callback):
    """Stop a training whose loss is NaN or infinite, naming step, loss parts and files.

    Args:
        check_every: Batches between two looks: each waits for the GPU. The first bad one is named
            all the same, and nothing is saved before a look.
    """

    def __init__(self, *, check_every: PositiveInt = 20) -> None:
        self.check_every = check_every
        self._steps: list[_Step] = []

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Note the losses of the step."""
        total = outputs["loss"].detach()
        self._steps.append(_Step(trainer.global_step, total, outputs["parts"], batch.paths))
        if len(self._steps) >= self.check_every:
            self._check(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look before a validation of a spoilt model."""
        self._check(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look before a checkpoint is saved."""
        self._check(trainer)

    def _check(self, trainer: pl.Trainer) -> None:
        """Raise on every rank when one has a bad loss, so that none waits for the others."""
        steps, self._steps = self._steps, []
        if not steps:
            return
        good = torch.isfinite(torch.stack([step.total for step in steps])).tolist()
        bad = [step for step, is_good in zip(steps, good, strict=True) if not is_good]
        if trainer.strategy.reduce_boolean_decision(bool(bad), all=False):
            raise UserError(_describe(bad[0]) if bad else "the loss of another rank is not finite.")


def _describe(step: _Step) -> str:
    parts = ", ".join(f"{name} {float(value):.4g}" for name, value in step.parts.items())
    return (
        f"the loss of step {step.number} is {float(step.total)}, expected a finite number; its "
        f"parts: {parts}. The batch's files: {', '.join(step.paths)}. Lower "
        "optimizer.learning_rate, set trainer.gradient_clip_norm=10, use trainer.precision=32, or "
        "look at the annotations of these files."
    )
