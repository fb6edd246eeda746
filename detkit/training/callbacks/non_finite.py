"""Stop before a step that would spoil the weights, and keep what is needed to repeat it."""

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
    """A batch since the last look: what it takes to repeat it, and what it gave."""

    number: int  # of the optimizer step, from 1
    batch: Batch
    random_state: dict[str, Any]
    losses: dict[str, Tensor] = field(default_factory=dict)
    gradient_norm: Tensor | None = None

    def total(self) -> Tensor:
        """A number that is finite when all losses and the gradients are."""
        losses = [value.float() for name, value in self.losses.items() if name.startswith("loss/")]
        norm = [] if self.gradient_norm is None else [self.gradient_norm.float()]
        return torch.stack([*losses, *norm]).sum()


@register("callback", "non_finite")
class NonFinite(pl.Callback):
    """Stop a training whose loss or gradient is NaN or infinite, and save the step.

    The run folder's `non_finite/step_NUMBER.pt` holds the batch, the loss parts, the random state
    and the weights from before the step: `detkit replay FILE` repeats it. The message names the
    loss parts, the files and the first module whose output was not finite. Checkpoints that were
    saved before stay as they are. Gradients are not looked at with trainer.precision=16, where the
    loss scaler meets and skips infinite ones.

    Args:
        run_folder: Where the run writes.
        check_every: Optimizer steps between two looks. A look costs about 2 ms on a CPU, and waits
            for a GPU. With more than 1 the first bad step is named all the same and its images are
            kept until the next look, but the weights that are saved are later ones. Nothing is
            saved as a checkpoint before a look.
    """

    def __init__(self, *, run_folder: Wired[str], check_every: PositiveInt = 1) -> None:
        self.run_folder = Path(run_folder)
        self.check_every = check_every
        self._seen: list[_Seen] = []
        self._buffers: dict[str, tuple[Tensor, Tensor]] = {}  # each with its copy
        self._steps = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start anew, with room for a copy of each buffer."""
        buffers = detection_module(pl_module).detector.named_buffers()
        self._buffers = {name: (value, value.clone()) for name, value in buffers}
        self._seen, self._steps = [], 0

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Note what the forward pass is about to change."""
        if not self._seen:
            for value, copy in self._buffers.values():
                copy.copy_(value)
        self._seen.append(_Seen(trainer.global_step + 1, batch, random_state()))

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the losses and the norm of the gradients; waits for nothing."""
        seen = self._seen[-1]
        seen.losses = detection_module(pl_module).step_losses
        if trainer.precision != "16-mixed":
            groups = trainer.optimizers[0].param_groups
            gradients = [p.grad for group in groups for p in group["params"] if p.grad is not None]
            with torch.no_grad():
                seen.gradient_norm = whole(torch.nn.utils.get_total_norm(gradients))

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Look, while the weights are still those of the step."""
        self._steps += 1
        if self._steps % self.check_every == 0:
            self._look(trainer, pl_module)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look before a validation of a spoilt model."""
        self._look(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look at the last steps of a training too."""
        self._look(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Look before spoilt weights replace good ones."""
        self._look(trainer, pl_module)

    def _look(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Raise on every rank when one has a bad step, so that none waits for the others."""
        seen = [step for step in self._seen if step.losses]
        self._seen = [step for step in self._seen if not step.losses]
        if not seen:
            return
        good = torch.stack([step.total() for step in seen]).isfinite().tolist()  # waits once
        bad = [step for step, is_good in zip(seen, good, strict=True) if not is_good]
        if trainer.strategy.reduce_boolean_decision(bool(bad), all=False):
            self._stop(trainer, pl_module, bad[0] if bad else seen[-1])

    def _stop(self, trainer: pl.Trainer, pl_module: pl.LightningModule, seen: _Seen) -> NoReturn:
        """Repeat the step on every rank, save the first bad one, and say the same on all ranks."""
        detector, precision = detection_module(pl_module).detector, str(trainer.precision)
        self._restore(seen)
        weights = gathered(detector.state_dict(), keep=True)  # on all ranks, as any may save
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
        culprit = finite.index(min(finite))  # where all are finite, only their sum was not
        if trainer.global_rank == culprit:
            norm = None if seen.gradient_norm is None else float(seen.gradient_norm)
            advice = _ADVICE.format(run=shlex.quote(display_path(self.run_folder)))
            lines = [*_description(step, norm), *self._save(step, weights, pl_module), advice]
            texts = ["\n  ".join(lines)]
        if trainer.world_size > 1:
            torch.distributed.broadcast_object_list(texts, src=culprit)
        raise UserError(texts[0])

    def _restore(self, seen: _Seen) -> None:
        """Put random generators and buffers to where they were before the step."""
        set_random_state(seen.random_state)
        for value, copy in self._buffers.values():
            value.copy_(copy)

    def _save(
        self, step: SavedStep, weights: dict[str, Tensor], pl_module: pl.LightningModule
    ) -> list[str]:
        """Save the step and say how to repeat it, or why it could not be saved."""
        path = step_path(self.run_folder, step.number, step.rank, step.world_size)
        try:
            write_step(path, step, weights, detection_module(pl_module).checkpoint_record)
        except (OSError, RuntimeError) as error:  # torch says RuntimeError when the disk is full
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
            "callbacks.non_finite.check_every=1 they would be its own"
        )
    more = len(step.batch.paths) - _MOST_FILES
    files = ", ".join(step.batch.paths[:_MOST_FILES]) + (f" and {more} more" if more > 0 else "")
    return [*lines, f"the batch's files: {files}"]
