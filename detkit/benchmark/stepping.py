"""Measure the parts of a training step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.plugins.precision import MixedPrecision
from torch import Tensor

from detkit.benchmark.operations import OperationCount, count_operations
from detkit.benchmark.timing import WARM_UP, Times, now
from detkit.detectors.base import DetectorModule
from detkit.interfaces import Losses, OptimizerFactory
from detkit.structures import Batch
from detkit.training.compilation import CompiledLoss

_TINY_RATE = 1e-3  # factor of the learning rate, so that the detector hardly changes


@dataclass(frozen=True)
class StepTimes:
    """Seconds for each part of a training step.

    Attributes:
        forward: The network and the losses.
        backward: The gradients.
        optimizer: Gradient clipping and the update of the weights.
        accumulated: Batches per optimizer step.
    """

    forward: Times
    backward: Times
    optimizer: Times
    accumulated: int

    @property
    def whole(self) -> Times:
        """The whole step for one batch."""
        parts = zip(
            self.forward.seconds, self.backward.seconds, self.optimizer.seconds, strict=True
        )
        return Times(tuple(f + b + o / self.accumulated for f, b, o in parts))


class TrainingStep:
    """A training step without Lightning's loop: same precision, optimizer and clipping."""

    def __init__(
        self,
        detector: DetectorModule,
        *,
        optimizer: OptimizerFactory,
        trainer: pl.Trainer,
        total_batch: int,
        compile_loss: bool = False,
    ) -> None:
        """Set up a detector that has been prepared for training.

        Args:
            detector: The detector; moved to the trainer's device and set to training mode.
            optimizer: Builds the optimizer.
            trainer: Provides precision and clipping; it runs nothing.
            total_batch: Images per optimizer step over all devices.
            compile_loss: Compile losses and network as one graph.
        """
        self.device = trainer.strategy.root_device
        self.detector = detector.to(self.device).train()
        self._loss: Callable[[Batch], Losses]
        self._loss = CompiledLoss(detector) if compile_loss else detector.loss
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
            values = self._loss(batch)
        return torch.stack([v.float() for k, v in values.items() if k.startswith("loss/")]).sum()

    def backward(self, loss: Tensor) -> None:
        """The gradients of a loss."""
        self._scaler.scale(loss).backward()

    def update(self) -> None:
        """Update the weights and clear the gradients."""
        if self._clip:
            self._scaler.unscale_(self._optimizer)
            torch.nn.utils.clip_grad_norm_(self.detector.parameters(), self._clip)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._optimizer.zero_grad()


def step_times(step: TrainingStep, batches: Sequence[Batch], count: int) -> StepTimes:
    """Measure the parts of a step on batches that are already on the device."""
    seconds: list[tuple[float, float, float]] = []
    for number in range(WARM_UP + count):
        start = now(step.device)
        loss = step.forward(batches[number % len(batches)])
        forward = now(step.device)
        step.backward(loss)
        backward = now(step.device)
        step.update()
        seconds.append((forward - start, backward - forward, now(step.device) - backward))
    forward_times, backward_times, optimizer_times = (
        Times(part) for part in zip(*seconds[WARM_UP:], strict=True)
    )
    return StepTimes(forward_times, backward_times, optimizer_times, step.accumulated)


def count_step(step: TrainingStep, batch: Batch) -> OperationCount:
    """The operations of a training step without the optimizer.

    Args:
        step: A step that has seen a batch of this size before.
        batch: A batch on the device.
    """
    return count_operations(
        lambda: step.backward(step.forward(batch)), step.device, [batch.to_image]
    )


def training_times(step: TrainingStep, batches: Iterator[Batch], ready: int, count: int) -> Times:
    """Seconds per image while loader and step work together, as in a training.

    Args:
        step: The step.
        batches: The loader's batches, without end.
        ready: Number of batches that workers may have prepared; they do not count.
        count: Number of steps to measure.
    """
    seconds_per_image = []
    for number in range(-max(WARM_UP, ready), count):
        start = now(step.device)
        batch = next(batches).to(step.device, non_blocking=True)
        step.backward(step.forward(batch))
        if number % step.accumulated == 0:
            step.update()
        if number >= 0:
            seconds_per_image.append((now(step.device) - start) / len(batch))
    return Times(tuple(seconds_per_image))
