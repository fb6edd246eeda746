"""What optimizers and schedulers promise: all parameters move, at a rate that is a number."""

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
    """Layers with the names of a detector's, a norm, and a layer that is frozen."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        still = nn.Conv2d(4, 4, 1).requires_grad_(False)
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), still)
        self.head = nn.Linear(4, 2)
        self.frozen = still.weight

    def loss(self) -> torch.Tensor:
        """How far the answers to fixed images are from fixed targets."""
        maps = self.backbone(scenes.random(4, 3, 8, 8)).mean(dim=(2, 3))
        error: torch.Tensor = self.head(maps) - 1
        return error.square().mean()


def _built(subject: Subject, model: nn.Module, total_batch: int = 2) -> torch.optim.Optimizer:
    found = subject.build()(model, total_batch)
    if not isinstance(found, torch.optim.Optimizer):
        raise BrokenContractError(
            f"it gave {type(found).__name__} for a model, expected a torch.optim.Optimizer."
        )
    return found


def _step(model: _Model, optimizer: torch.optim.Optimizer) -> float:
    optimizer.zero_grad()
    loss = model.loss()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return float(loss)


def each_trainable_parameter_is_in_one_group(subject: Subject) -> None:
    """For steps of one image and of many."""
    for total_batch in (1, 64):
        model = _Model()
        optimizer = _built(subject, model, total_batch)
        held = [id(p) for group in optimizer.param_groups for p in group["params"]]
        for name, parameter in model.named_parameters():
            count = held.count(id(parameter))
            if parameter.requires_grad:
                require(
                    count == 1,
                    f"'{name}' is in {count} groups: give each trainable parameter to one.",
                )
        for group in optimizer.param_groups:
            rate = float(group["lr"])
            require(math.isfinite(rate) and rate >= 0, f"a learning rate is {rate}.")


def a_loss_falls(subject: Subject) -> None:
    """Over a few steps on a small problem; what is frozen stays."""
    model = _Model()
    frozen = model.frozen.clone()
    optimizer = _built(subject, model)
    losses = [_step(model, optimizer) for _ in range(_STEPS)]
    require(math.isfinite(losses[-1]), f"after {_STEPS} steps the loss is {losses[-1]}.")
    require(
        losses[-1] < losses[0],
        f"in {_STEPS} steps the loss went from {losses[0]:.4g} to {losses[-1]:.4g}, not down.",
    )
    require_same(model.frozen, frozen, "frozen weights moved.")


def it_goes_on_from_its_state(subject: Subject) -> None:
    """After a state dict was saved and read, steps are those of a training without a break."""
    model, again = _Model(), _Model()
    optimizer, resumed = _built(subject, model), _built(subject, again)
    for _ in range(3):
        _step(model, optimizer)
    file = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    again.load_state_dict(state["model"])
    resumed.load_state_dict(state["optimizer"])
    for _ in range(3):
        _step(model, optimizer)
        _step(again, resumed)
    require_same(
        list(again.parameters()),
        list(model.parameters()),
        "after its state was loaded other steps follow: keep all of it in `state` and groups.",
    )


def factors_are_numbers_from_0_on(subject: Subject) -> None:
    """For each step of short and long trainings, and not 0 throughout."""
    schedule = subject.build()
    for total in _TOTALS:
        factors = [schedule(step, total) for step in range(total)]
        for step, factor in enumerate(factors):
            fits = isinstance(factor, float | int) and math.isfinite(factor) and factor >= 0
            require(fits, f"step {step} of {total} has the factor {factor!r}, expected 0 or more.")
        require(max(factors) > 0, f"all {total} factors are 0, so nothing would be learned.")


def a_factor_depends_on_the_step_alone(subject: Subject) -> None:
    """Asked in another order, as a resumed training does, it is the same."""
    schedule, total = subject.build(), 50
    forward = _factors(subject, range(total), total)
    backward = _factors(subject, range(total - 1, -1, -1), total)[::-1]
    require(
        forward == backward == [schedule(step, total) for step in range(total)],
        "a step has another factor when steps are asked for in another order: compute it from "
        "`step` and `total_steps` alone.",
    )


def _factors(subject: Subject, steps: Sequence[int], total: int) -> list[float]:
    schedule = subject.build()
    return [schedule(step, total) for step in steps]
