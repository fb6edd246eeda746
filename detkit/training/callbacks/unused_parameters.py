"""Report the parameters that get no gradient."""

from __future__ import annotations

import logging
from collections import Counter

import lightning.pytorch as pl
import torch
import torch.distributed
from torch import nn
from torch.optim import Optimizer

from detkit.errors import UserError
from detkit.registry import PositiveInt, register
from detkit.training.module import detection_module
from detkit.training.sharding import is_divided, part_of

_log = logging.getLogger("detkit.training")
_MOST_GROUPS = 6


@register("callback", "unused_parameters")
class UnusedParameters(pl.Callback):
    """Warn once about parameters that get no gradient, or only zeros, in the first steps.

    Frozen parameters count from the epoch in which they are unfrozen. On several devices, a
    parameter without a gradient ends the training after the first step, because PyTorch would fail
    or hang in the second one without naming it.

    Args:
        steps: Optimizer steps to check; a shorter training gives no warning.
    """

    def __init__(self, *, steps: PositiveInt = 50) -> None:
        self.steps = steps
        self._seen = 0
        self._waiting: dict[str, nn.Parameter] = {}
        self._absent: set[str] = set()
        self._trainable: set[str] = set()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Expect a gradient of each trainable parameter, unless the training is resumed."""
        if trainer.global_step > 0:
            self._seen = self.steps
        trainable = _trainable(pl_module)
        self._expect(trainable)
        self._trainable = set(trainable)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count steps again once parameters are unfrozen."""
        trainable = _trainable(pl_module)
        if added := {name: trainable[name] for name in trainable.keys() - self._trainable}:
            self._seen = 0
            self._expect({**self._waiting, **added})
        self._trainable = set(trainable)

    def _expect(self, parameters: dict[str, nn.Parameter]) -> None:
        self._waiting = parameters
        self._absent = set(parameters)

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Cross out parameters with a gradient; warn after the last step to check.

        Raises:
            UserError: Several devices train, and a parameter got no gradient in the first step.
        """
        if self._seen >= self.steps:
            return
        self._seen += 1
        detector = detection_module(pl_module).detector
        self._cross_out(is_divided(detector))
        if self._seen == 1 and trainer.world_size > 1 and self._absent:
            where = f"a step of rank {trainer.global_rank}"
            raise UserError(unused_text(sorted(self._absent), where))
        if self._seen == self.steps:
            if self._waiting and trainer.is_global_zero:
                _log.warning(
                    "%s",
                    self._text(sum(1 for _ in detector.parameters())),
                )
            self._waiting = {}

    @torch.no_grad()
    def _cross_out(self, divided: bool) -> None:
        """Cross out parameters with a gradient; waits for the device only while some are left.

        Args:
            divided: Whether each rank holds only a part of each gradient.
        """
        present = {n: p.grad for n, p in self._waiting.items() if p.grad is not None}
        self._absent -= set(present)
        if not present:
            return
        norms = torch.stack([part_of(gradient).norm() for gradient in present.values()])
        if divided:
            torch.distributed.all_reduce(norms)
        for name, norm in zip(present, norms.tolist(), strict=True):
            if norm != 0:  # NaN counts as a gradient here
                del self._waiting[name]

    def _text(self, count: int) -> str:
        none = [name for name in self._waiting if name in self._absent]
        zero = [name for name in self._waiting if name not in self._absent]
        kinds = []
        if none:
            kinds.append(f"no gradient (the loss does not use them): {_grouped(none)}")
        if zero:
            kinds.append(
                f"only zeros (nothing that counted in the loss depended on them): {_grouped(zero)}"
            )
        return (
            f"{len(self._waiting)} OF {count} PARAMETERS DO NOT LEARN in {self.steps} "
            f"steps: {'; '.join(kinds)}. Use them in the loss, leave their part out of the model, "
            "or freeze them; a branch that is trained by positives only needs boxes that match "
            "its priors. On several devices, parameters without a gradient end the training."
        )


def _trainable(module: pl.LightningModule) -> dict[str, nn.Parameter]:
    parameters = detection_module(module).detector.named_parameters()
    return {name: value for name, value in parameters if value.requires_grad}


def unused_text(names: list[str], where: str) -> str:
    """The error about parameters without a gradient on several devices."""
    return (
        f"{len(names)} parameters got no gradient in {where}: {_grouped(names)}. Devices that "
        "train together wait for the gradient of each parameter, so the training would fail or "
        "hang. Use them in the loss, if only times zero, leave their part out of the model, or "
        "freeze them."
    )


def _grouped(names: list[str]) -> str:
    """Modules of parameters, each with its number of parameters: `neck.extra (4)`."""
    depth = 1
    while depth < 4 and len(_groups(names, depth + 1)) <= _MOST_GROUPS:  # noqa: PLR2004
        depth += 1
    groups = _groups(names, depth).most_common()
    listed = ", ".join(f"{prefix} ({count})" for prefix, count in groups[:_MOST_GROUPS])
    more = sum(count for _, count in groups[_MOST_GROUPS:])
    return listed + (f" and {more} more" if more else "")


def _groups(names: list[str], depth: int) -> Counter[str]:
    return Counter(".".join(name.split(".")[:-1][:depth]) or name for name in names)
