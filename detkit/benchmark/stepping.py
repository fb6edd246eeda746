"""How long a training step takes, and its parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import Tensor

from detkit.benchmark.timing import WARM_UP, Times, now
from detkit.interfaces import OptimizerFactory
from detkit.structures import Batch

_TINY_RATE = 1e-3  # of the learning rate, so that the detector stays what it is


@dataclass(frozen=True)
class StepTimes:
    """Seconds of the parts of a training step.

    Attributes:
        forward: Network and losses.
        backward: Gradients.
        optimizer: Clipping, and the step of the weights.
        accumulated: Batches for which the optimizer steps once.
    """

    forward: Times
    backward: Times
    optimizer: Times
    accumulated: int

    @property
    def whole(self) -> Times:
        """All of it for one batch."""
        parts = zip(
            self.forward.seconds, self.backward.seconds, self.optimizer.seconds, strict=True
        )
        return Times(tuple(f + b + o / self.accumulated for f, b, o in parts))


class TrainingStep:
    """The step of a training, without its loop: same arithmetic, optimizer and clipping."""

    def __init__(
        self,
        detector: Any,
        *,
        optimizer: OptimizerFactory,
        trainer: pl.Trainer,
        total_batch: int,
    ) -> None:
        """Take a detector that is prepared as for training.

        Args:
            detector: Moved to the trainer's device, and in training mode afterwards.
            optimizer: Builds the optimizer.
            trainer: Its precision and clipping are taken; it runs nothing.
            total_batch: Images of an optimizer step over all devices.
        """
        self.device = trainer.strategy.root_device
        self.detector = detector.to(self.device).train()
        self.accumulated = trainer.accumulate_grad_batches
        self._clip = trainer.gradient_clip_val
        self._precision = trainer.precision_plugin
        scaler = self._precision.scaler if isinstance(self._precision, MixedPrecision) else None
        self._scaler: Any = scaler or torch.amp.GradScaler(self.device.type, enabled=False)
        self._optimizer = optimizer(detector, total_batch)
        for group in self._optimizer.param_groups:
            group["lr"] *= _TINY_RATE

    def forward(self, batch: Batch) -> Tensor:
        """The sum of the loss parts."""
        with self._precision.forward_context():
            values = self.detector.loss(batch)
        return torch.stack([v.float() for k, v in values.items() if k.startswith("loss/")]).sum()

    def backward(self, loss: Tensor) -> None:
        """The gradients of a loss."""
        self._scaler.scale(loss).backward()

    def update(self) -> None:
        """Change the weights by the gradients, which are gone then."""
        if self._clip:
            self._scaler.unscale_(self._optimizer)
            torch.nn.utils.clip_grad_norm_(self.detector.parameters(), self._clip)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._optimizer.zero_grad()


def step_times(step: TrainingStep, batches: Sequence[Batch], count: int) -> StepTimes:
    """Measure the parts of a step on batches that are on the device, one after the other."""
    found: list[tuple[float, float, float]] = []
    for number in range(WARM_UP + count):
        start = now(step.device)
        loss = step.forward(batches[number % len(batches)])
        forward = now(step.device)
        step.backward(loss)
        backward = now(step.device)
        step.update()
        found.append((forward - start, backward - forward, now(step.device) - backward))
    forward_times, backward_times, optimizer_times = (
        Times(part) for part in zip(*found[WARM_UP:], strict=True)
    )
    return StepTimes(forward_times, backward_times, optimizer_times, step.accumulated)


def training_times(step: TrainingStep, batches: Iterator[Batch], ready: int, count: int) -> Times:
    """Seconds for each image where loader and step work at once, as they do in a training.

    Args:
        step: The step.
        batches: What the loader gives, without end.
        ready: Batches that workers may hold ready; they do not count.
        count: Steps to measure.
    """
    found = []
    for number in range(-max(WARM_UP, ready), count):
        start = now(step.device)
        batch = next(batches).to(step.device, non_blocking=True)
        step.backward(step.forward(batch))
        if number % step.accumulated == 0:
            step.update()
        if number >= 0:
            found.append((now(step.device) - start) / len(batch))
    return Times(tuple(found))
