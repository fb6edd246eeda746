"""A moving average of the weights that is validated and saved instead of them."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from detkit.registry import Fraction, register
from detkit.training.sharding import divided_like, gathered, part_of

RAW_WEIGHTS = "raw_state_dict"


@register("callback", "ema")
class WeightAverage(pl.Callback):
    """Validate and save an exponential moving average of the weights.

    The average follows closely at first and slowly later: its decay at update n is
    min(decay, (1 + n) / (10 + n)), so that it spans about the last tenth of a short training.
    The running statistics of batch norms are averaged like the weights: the last step's statistics
    belong to the last weights, not to averaged ones. A checkpoint contains the averaged weights
    as its state dict, and the raw ones, from which training resumes, as "raw_state_dict".

    Lightning's own callback is not used: it keeps the average on the CPU when training on a GPU (it
    copies the model before that is moved), and reads its counter back from the GPU at every step.

    Args:
        decay: Maximum share of the old average at an optimizer step.
        warm_up: Let the decay grow from the start, as above; otherwise it is constant.
    """

    def __init__(self, *, decay: Fraction = 0.9998, warm_up: bool = True) -> None:
        self.decay = decay
        self.warm_up = warm_up
        self.updates = 0
        self._last_step = 0
        self._stored: dict[str, Tensor] = {}
        self._swapped = False

    def decay_at(self, update: int) -> float:
        """The decay of an update, counted from 1."""
        return min(self.decay, (1 + update) / (10 + update)) if self.warm_up else self.decay

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start from the current weights, or continue the resumed average."""
        self._last_step = trainer.global_step
        live = _averaged_tensors(pl_module)
        resumed = self._stored
        self._stored = {
            name: divided_like(resumed[name], value) if name in resumed else value.clone()
            for name, value in live.items()
        }

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Update the average when the optimizer has moved the weights."""
        if trainer.global_step == self._last_step:
            return
        self._last_step = trainer.global_step
        self.updates += 1
        live = _averaged_tensors(pl_module)
        average = get_ema_multi_avg_fn(self.decay_at(self.updates))  # type: ignore[no-untyped-call]
        with torch.no_grad():  # a divided tensor is averaged part by part
            stored = [part_of(value) for value in self._stored.values()]
            average(stored, [part_of(live[name]) for name in self._stored], self.updates)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Load the average into the model."""
        self._swap(pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the raw weights for training."""
        self._swap(pl_module)

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Restore the raw weights when a validation fails."""
        if self._swapped:
            self._swap(pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Load the averaged weights into the model for good."""
        self._swap(pl_module)
        self._stored, self._swapped = {}, False

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Do the same if the resumed training was already complete."""
        self.on_train_end(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save the average as the model's weights, and the raw weights separately."""
        if self._stored:
            in_model = checkpoint["state_dict"]
            other = {**in_model, **gathered(self._stored, trainer.is_global_zero)}
            averaged, raw = (in_model, other) if self._swapped else (other, in_model)
            checkpoint["state_dict"], checkpoint[RAW_WEIGHTS] = averaged, raw

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Read the average and load the raw weights into the model when training resumes."""
        if trainer.state.fn == TrainerFn.FITTING and RAW_WEIGHTS in checkpoint:
            averaged = checkpoint["state_dict"]
            self._stored = {name: averaged[name].clone() for name in _averaged_tensors(pl_module)}
            pl_module.load_state_dict(checkpoint[RAW_WEIGHTS])

    def state_dict(self) -> dict[str, Any]:
        """The number of updates so far."""
        return {"updates": self.updates}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue counting, so that the decay does not start again."""
        self.updates = state_dict["updates"]

    @torch.no_grad()
    def _swap(self, pl_module: pl.LightningModule) -> None:
        if not self._stored:  # validation without training
            return
        live = _averaged_tensors(pl_module)
        for name, stored in self._stored.items():
            value = live[name].clone()
            live[name].copy_(stored)
            stored.copy_(value)
        self._swapped = not self._swapped


def _averaged_tensors(module: pl.LightningModule) -> dict[str, Tensor]:
    """The tensors of a module's state dict to average: all but integer counters."""
    return {name: value for name, value in module.state_dict().items() if value.is_floating_point()}
