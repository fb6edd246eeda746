"""A learning-rate range test: the rate of each step, when to stop, which rate to suggest.

The rate grows exponentially from step to step while the loss is recorded (Smith, 2015, Cyclical
Learning Rates for Training Neural Networks, section 3.3, https://arxiv.org/abs/1506.01186).

Lightning's `Tuner.lr_find` is not used: it gives all parameter groups the same rate, so that
`layer_decay` and `backbone_factor` have no effect; it removes the callback of `freeze.until`;
with accumulated gradients it sees only the last batch of a step; and its suggestion, the steepest
fall over a linear axis, is close to the lowest rate of the test whatever the loss does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

RULE = (
    "the rate at which the smoothed loss falls fastest over the logarithm of the rate (Smith, 2015)"
)
_DIVERGED = 4.0  # times the best running average, as in fastai and Lightning
_MEMORY = 0.9  # of the running average: about the last ten steps
_WIDTH = 0.04  # standard deviation of the smoothing, as a share of all steps


class RisingRate:
    """A schedule whose learning rate grows exponentially, the same for all parameter groups.

    Args:
        lowest: `optimizer.learning_rate` of the first step.
        highest: That of the last step.
        steps: Number of optimizer steps.
        configured: The value that the optimizer was built with; the factors are relative to it, so
            that the groups keep the ratios of their rates.
    """

    def __init__(self, *, lowest: float, highest: float, steps: int, configured: float) -> None:
        self.lowest, self.highest, self.steps = lowest, highest, steps
        self._configured = configured

    def __call__(self, step: int, total_steps: int) -> float:
        """The factor of a step."""
        return self.rate(step) / self._configured

    def rate(self, step: int) -> float:
        """The value of `optimizer.learning_rate` at a step."""
        growth: float = (self.highest / self.lowest) ** (step / (self.steps - 1))
        return self.lowest * growth


class LossCurve(pl.Callback):
    """Records the loss of each optimizer step, and ends the training when the loss diverges.

    Attributes:
        losses: The mean over the batches of each step.
        has_diverged: Whether the loss became infinite, NaN, or four times its best running average.
    """

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.has_diverged = False
        self._batches: list[Tensor] = []  # losses of the current step
        self._average, self._best = 0.0, math.inf

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Add the loss of the batch to its step."""
        parts = [v for name, v in outputs["parts"].items() if name.startswith("loss/")]
        self._batches.append(torch.stack([part.float() for part in parts]).sum())
        is_last = batch_idx + 1 >= trainer.num_training_batches
        if is_last or (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            loss = float(torch.stack(self._batches).mean())
            self._batches = []
            self.add(loss)
            trainer.should_stop = trainer.should_stop or self.has_diverged

    def add(self, loss: float) -> None:
        """Add the loss of a step, which counts unless it is infinite or NaN."""
        if not math.isfinite(loss):
            self.has_diverged = True
            return
        self.losses.append(loss)
        self._average = _MEMORY * self._average + (1 - _MEMORY) * loss
        level = self._average / (1 - _MEMORY ** len(self.losses))
        self._best = min(self._best, level)
        self.has_diverged = level > _DIVERGED * self._best


@dataclass(frozen=True)
class RangeTest:
    """The result of a range test.

    Attributes:
        rates: `optimizer.learning_rate` of each step.
        losses: The loss of each step, before the step changed the weights.
        has_diverged: Whether the loss diverged, which ended the test.
    """

    rates: list[float]
    losses: list[float]
    has_diverged: bool

    def smoothed(self) -> NDArray[np.float64]:
        """The losses without most of the noise, and without the delay of a running average."""
        losses = np.asarray(self.losses)
        width = max(_WIDTH * len(losses), 1.0)
        smoothed: NDArray[np.float64] = gaussian_filter1d(losses, width, mode="nearest")
        return smoothed

    def lowest_step(self) -> int:
        """The step with the lowest smoothed loss."""
        return int(self.smoothed().argmin())

    def suggested_step(self) -> int | None:
        """The step at which the smoothed loss falls fastest; None if it never falls.

        Its total fall must be larger than the noise of single steps.
        """
        smoothed, end = self.smoothed(), self.lowest_step()
        noise = float(np.std((np.asarray(self.losses) - smoothed)[: end + 1]))
        if end == 0 or smoothed[0] - smoothed[end] <= noise:
            return None
        return int(np.gradient(smoothed)[: end + 1].argmin())

    def suggestion(self) -> float | None:
        """The suggested `optimizer.learning_rate`, to two digits."""
        step = self.suggested_step()
        return None if step is None else float(f"{self.rates[step]:.2g}")

    def as_plain(self) -> dict[str, Any]:
        """The result as JSON."""
        return {
            "suggestion": self.suggestion(),
            "rule": RULE,
            "diverged": self.has_diverged,
            "learning_rates": self.rates,
            "losses": self.losses,
            "smoothed_losses": self.smoothed().tolist(),
        }
