"""Contracts of optimizers and schedulers: they train every parameter, at a valid rate."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import torch
from torch import nn

from detkit.contracts import scenes
from detkit.contracts.case import BrokenContractError, Subject
from detkit.contracts.tensor_checks import require, require_same

_STEPS = 20
_TOTALS = (1, 2, 3, 10, 1000)


class _Model(nn.Module):
    """Layers with the names of a detector's, including a norm and a frozen layer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        frozen = nn.Conv2d(4, 4, 1).requires_grad_(False)
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), frozen)
        self.head = nn.Linear(4, 2)
        self.frozen = frozen.weight

    def loss(self) -> torch.Tensor:
        """The squared error on fixed images and targets."""
        maps = self.backbone(scenes.random(4, 3, 8, 8)).mean(dim=(2, 3))
        error: torch.Tensor = self.head(maps) - 1
        return error.square().mean()


def _build(subject: Subject, model: nn.Module, total_batch: int = 2) -> torch.optim.Optimizer:
    optimizer = subject.build()(model, total_batch)
    if not isinstance(optimizer, torch.optim.Optimizer):
        raise BrokenContractError(
            f"it returned {type(optimizer).__name__} for a model, expected a torch.optim.Optimizer."
        )
    return optimizer


def _step(model: _Model, optimizer: torch.optim.Optimizer) -> float:
    optimizer.zero_grad()
    loss = model.loss()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return float(loss)


def every_trainable_parameter_is_in_one_group(subject: Subject) -> None:
    """For a total batch of one image and of many."""
    for total_batch in (1, 64):
        model = _Model()
        optimizer = _build(subject, model, total_batch)
        held = [id(p) for group in optimizer.param_groups for p in group["params"]]
        for name, parameter in model.named_parameters():
            count = held.count(id(parameter))
            if parameter.requires_grad:
                require(
                    count == 1,
                    f"'{name}' is in {count} groups: add each trainable parameter to exactly one.",
                )
        for group in optimizer.param_groups:
            rate = float(group["lr"])
            require(
                math.isfinite(rate) and rate >= 0, f"a learning rate is {rate}, expected 0 or more."
            )


def the_loss_decreases(subject: Subject) -> None:
    """Over a few steps on a small problem; frozen weights do not change."""
    model = _Model()
    frozen = model.frozen.clone()
    optimizer = _build(subject, model)
    losses = [_step(model, optimizer) for _ in range(_STEPS)]
    require(math.isfinite(losses[-1]), f"after {_STEPS} steps the loss is {losses[-1]}.")
    require(
        losses[-1] < losses[0],
        f"in {_STEPS} steps the loss did not decrease: from {losses[0]:.4g} to {losses[-1]:.4g}.",
    )
    require_same(model.frozen, frozen, "frozen weights changed.")


def it_resumes_from_its_state(subject: Subject) -> None:
    """After loading its state dict, it takes the same steps as without the interruption."""
    model, resumed_model = _Model(), _Model()
    optimizer, resumed = _build(subject, model), _build(subject, resumed_model)
    for _ in range(3):
        _step(model, optimizer)
    file = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    resumed_model.load_state_dict(state["model"])
    resumed.load_state_dict(state["optimizer"])
    for _ in range(3):
        _step(model, optimizer)
        _step(resumed_model, resumed)
    require_same(
        list(resumed_model.parameters()),
        list(model.parameters()),
        "it takes other steps after loading its state: store all state in `state` and the groups.",
    )


def factors_are_finite_and_not_negative(subject: Subject) -> None:
    """For every step of short and long trainings, and not all 0."""
    schedule = subject.build()
    for total in _TOTALS:
        factors = [schedule(step, total) for step in range(total)]
        for step, factor in enumerate(factors):
            fits = isinstance(factor, float | int) and math.isfinite(factor) and factor >= 0
            require(fits, f"step {step} of {total} has the factor {factor!r}, expected 0 or more.")
        require(max(factors) > 0, f"all {total} factors are 0, so nothing is learned.")


def factors_depend_on_the_step_alone(subject: Subject) -> None:
    """The order of the calls, which a resumed training changes, has no effect."""
    schedule, total = subject.build(), 50
    forward = _factors(subject, range(total), total)
    backward = _factors(subject, range(total - 1, -1, -1), total)[::-1]
    require(
        forward == backward == [schedule(step, total) for step in range(total)],
        "factors depend on the order of the calls: compute them from `step` and `total_steps` "
        "alone.",
    )


def _factors(subject: Subject, steps: Sequence[int], total: int) -> list[float]:
    schedule = subject.build()
    return [schedule(step, total) for step in steps]
