"""Stop before a step that would spoil the weights, and save what is needed to replay it."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import lightning.pytorch as pl
import torch
import torch.distributed
from torch import Tensor
from torch.optim import Optimizer

from detkit.errors import UserError
from detkit.files import display_path
from detkit.registry import PositiveInt, Wired, register
from detkit.runs.random_state import random_state, set_random_state
from detkit.runs.saved_step import SavedStep, step_path, write_step
from detkit.structures import Batch
from detkit.training.module import detection_module
from detkit.training.sharding import gathered, on_its_own, whole
from detkit.training.step_replay import replay_step

_ADVICE = (
    "then: lower optimizer.learning_rate, set trainer.gradient_clip_norm=10, use "
    "trainer.precision=32, or check the annotations of these files; resume with: detkit "
    "train ckpt={run} and these words"
)
_MOST_FILES = 8


@dataclass
class _Seen:
    """A batch since the last check: the state to replay it, and its losses and gradient norm."""

    number: int  # of the optimizer step, from 1
    batch: Batch
    random_state: dict[str, Any]
    losses: dict[str, Tensor] = field(default_factory=dict)
    gradient_norm: Tensor | None = None

    def total(self) -> Tensor:
        """A number that is finite if all losses and the gradient norm are."""
        losses = [value.float() for name, value in self.losses.items() if name.startswith("loss/")]
        norm = [] if self.gradient_norm is None else [self.gradient_norm.float()]
        return torch.stack([*losses, *norm]).sum()


@register("callback", "non_finite")
class NonFinite(pl.Callback):
    """Stop a training whose loss or gradient is NaN or infinite, and save the step.

    The run folder's `non_finite/step_NUMBER.pt` holds the batch, the loss parts, the random state
    and the weights before the step: `detkit replay FILE` repeats it. The message names the
    loss parts, the files and the first module with a non-finite output. Earlier checkpoints stay
    unchanged. With trainer.precision=16, gradients are not checked, since the loss scaler skips
    steps with infinite ones.

    Args:
        run_folder: Where the run writes.
        check_every: Optimizer steps between two checks. A check costs about 2 ms on a CPU and
            waits for a GPU. With more than 1, detkit still finds the first bad step and keeps its
            batch, but saves later weights. Each checkpoint is preceded by a check.
    """

    def __init__(self, *, run_folder: Wired[str], check_every: PositiveInt = 1) -> None:
        self.run_folder = Path(run_folder)
        self.check_every = check_every
        self._seen: list[_Seen] = []
        self._buffers: list[tuple[Tensor, Tensor]] = []  # each buffer with its copy
        self._steps = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Reset the state and allocate a copy of each buffer."""
        buffers = detection_module(pl_module).detector.buffers()
        self._buffers = [(value, value.clone()) for value in buffers]
        self._seen, self._steps = [], 0

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Copy the state that the forward pass changes."""
        if not self._seen and self._buffers:
            values, copies = zip(*self._buffers, strict=True)
            torch._foreach_copy_(copies, values)  # one call where each copy would take 5 µs
        self._seen.append(_Seen(trainer.global_step + 1, batch, random_state()))

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the losses and the gradient norm without waiting for the device."""
        seen = self._seen[-1]
        seen.losses = detection_module(pl_module).step_losses
        if trainer.precision != "16-mixed":
            norm = detection_module(pl_module).gradient_norm.compute(trainer.optimizers[0])
            seen.gradient_norm = whole(norm)

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Check before the step changes the weights."""
        self._steps += 1
        if self._steps % self.check_every == 0:
            self._check(trainer, pl_module)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check before the validation."""
        self._check(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the last steps of the epoch."""
        self._check(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Check before a checkpoint replaces the previous one."""
        self._check(trainer, pl_module)

    def _check(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Raise on all ranks if one has a bad step, so that no rank waits for another."""
        seen = [step for step in self._seen if step.losses]
        self._seen = [step for step in self._seen if not step.losses]
        if not seen:
            return
        good = (
            torch.stack([step.total() for step in seen]).isfinite().tolist()
        )  # waits for the device once
        bad = [step for step, is_good in zip(seen, good, strict=True) if not is_good]
        if trainer.strategy.reduce_boolean_decision(bool(bad), all=False):
            self._stop(trainer, pl_module, bad[0] if bad else seen[-1])

    def _stop(self, trainer: pl.Trainer, pl_module: pl.LightningModule, seen: _Seen) -> NoReturn:
        """Replay the step on all ranks, save the first bad one, and raise the same error on all."""
        detector, precision = detection_module(pl_module).detector, str(trainer.precision)
        self._restore(seen)
        weights = gathered(
            detector.state_dict(), keep=True
        )  # on all ranks, since any of them may save
        spoilt = [name for name, value in weights.items() if _is_bad(value)]
        with on_its_own(detector):
            replay = replay_step(detector, seen.batch, precision)
        self._restore(seen)
        finding = replay.finding()
        if spoilt:
            finding = f"the weights are not finite themselves, the first of them {spoilt[0]}"
        step = SavedStep(
            number=seen.number,
            epoch=trainer.current_epoch + 1,
            batch=seen.batch,
            losses={name: float(value) for name, value in seen.losses.items()},
            random_state=seen.random_state,
            precision=precision,
            device=seen.batch.images.device.type,
            rank=trainer.global_rank,
            world_size=trainer.world_size,
            weights_later=trainer.global_step - (seen.number - 1),
            finding=finding,
        )
        finite: list[Any] = [replay.is_finite]
        texts: list[Any] = [None]
        if trainer.world_size > 1:
            finite = [None] * trainer.world_size
            torch.distributed.all_gather_object(finite, replay.is_finite)
        culprit = finite.index(min(finite))  # rank 0 if all are finite and only their sum was not
        if trainer.global_rank == culprit:
            norm = None if seen.gradient_norm is None else float(seen.gradient_norm)
            advice = _ADVICE.format(run=shlex.quote(display_path(self.run_folder)))
            lines = [*_description(step, norm), *self._save(step, weights, pl_module), advice]
            texts = ["\n  ".join(lines)]
        if trainer.world_size > 1:
            torch.distributed.broadcast_object_list(texts, src=culprit)
        raise UserError(texts[0])

    def _restore(self, seen: _Seen) -> None:
        """Restore the random generators and buffers to their state before the step."""
        set_random_state(seen.random_state)
        for value, copy in self._buffers:
            value.copy_(copy)

    def _save(
        self, step: SavedStep, weights: dict[str, Tensor], pl_module: pl.LightningModule
    ) -> list[str]:
        """Save the step; return how to repeat it, or why it could not be saved."""
        path = step_path(self.run_folder, step.number, step.rank, step.world_size)
        try:
            write_step(path, step, weights, detection_module(pl_module).checkpoint_record)
        except (OSError, RuntimeError) as error:  # torch raises RuntimeError if the disk is full
            return [f"the step could not be saved in {path}: {error}"]
        return [f"repeat the step: detkit replay {shlex.quote(display_path(path))}"]


def _is_bad(value: Tensor) -> bool:
    return value.is_floating_point() and not bool(value.isfinite().all())


def _description(step: SavedStep, gradient_norm: float | None) -> list[str]:
    total = sum(value for name, value in step.losses.items() if name.startswith("loss/"))
    where = f"step {step.number} (epoch {step.epoch})"
    if step.world_size > 1:
        where += f" of rank {step.rank}"
    text = f"the loss of {where} is {total}"
    if math.isfinite(total) and gradient_norm is not None:
        text = f"the gradient of {where} has the norm {gradient_norm}"
    parts = ", ".join(f"{name} {value:.4g}" for name, value in step.losses.items())
    lines = [f"{text}, expected a finite number.", f"loss parts: {parts}", step.finding]
    if step.weights_later:
        lines.append(
            f"the weights are {step.weights_later} optimizer steps later than the step; with "
            "callbacks.non_finite.check_every=1 they would match it"
        )
    more = len(step.batch.paths) - _MOST_FILES
    files = ", ".join(step.batch.paths[:_MOST_FILES]) + (f" and {more} more" if more > 0 else "")
    return [*lines, f"the batch's files: {files}"]
