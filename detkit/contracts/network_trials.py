"""Inputs for networks of each family, their modes, and the gradients of their parameters."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from detkit.contracts import scenes
from detkit.contracts.case import BrokenContractError, LeftOutError, Subject
from detkit.contracts.tensor_checks import are_equal, require, tensors
from detkit.text import agree

_MOST_NAMED = 3


class Trial(NamedTuple):
    """A part and the inputs of its forward."""

    part: Any
    inputs: tuple[Any, ...]


def _on_maps(subject: Subject, **wiring: Any) -> Trial:
    part, specs = scenes.build_on_levels(subject)
    return Trial(part, (scenes.maps(specs),))


def _on_regions(subject: Subject) -> Trial:
    part, specs = scenes.build_on_levels(subject)
    return Trial(part, (scenes.maps(specs), scenes.regions(), scenes.size_tensor()))


def _pooling(subject: Subject) -> Trial:
    part, specs = scenes.build_on_levels(subject)
    image = torch.tensor([0, 0, 0, 1])
    return Trial(part, (scenes.maps(specs), torch.cat(scenes.regions().split()), image))


def _box_head(subject: Subject) -> Trial:
    part, shape = scenes.build_on_region(subject)
    return Trial(part, (scenes.random(4, *shape),))


_TRIALS: dict[str, Callable[[Subject], Trial]] = {
    "backbone": lambda subject: Trial(subject.build(), (scenes.images(),)),
    "neck": _on_maps,
    "head": _on_maps,
    "layers": _on_maps,
    "proposer": _on_maps,
    "roi_head": _on_regions,
    "pooling": _pooling,
    "mask_head": _pooling,
    "box_head": _box_head,
    "detector": lambda subject: Trial(subject.build(), (scenes.images() * 50 + 110,)),
}


def trial(subject: Subject, training: bool = False) -> Trial:
    """A network in training or evaluation mode, and inputs for it."""
    result = _TRIALS[subject.family](subject)
    set_mode(result.part, training)
    return result


def set_mode(part: Any, training: bool) -> None:
    """Set training or evaluation mode if the part is a module."""
    if isinstance(part, nn.Module):
        part.train(training)


def trainable(part: Any) -> dict[str, nn.Parameter]:
    """The parameters that are not frozen, by name."""
    named = part.named_parameters() if isinstance(part, nn.Module) else ()
    return {name: parameter for name, parameter in named if parameter.requires_grad}


def require_gradients(part: Any, total: Tensor, when: str) -> None:
    """Run the backward pass of a scalar and check that each parameter gets a finite gradient.

    Args:
        part: The network.
        total: The scalar.
        when: The situation, for messages.

    Raises:
        BrokenContractError: A parameter does not.
    """
    parameters = trainable(part)
    if not parameters:
        return
    if not total.requires_grad:
        raise BrokenContractError(
            f"the result does not depend on any parameter {when}: do not detach it or compute it "
            "under `torch.no_grad()`."
        )
    for parameter in parameters.values():
        parameter.grad = None
    total.backward()  # type: ignore[no-untyped-call]
    missing = [name for name, parameter in parameters.items() if parameter.grad is None]
    require(
        not missing,
        f"{_named(missing)} got no gradient {when}: each result must depend on every parameter "
        "(multiply by 0 if necessary), or other ranks wait forever; freeze or remove unused "
        "parameters.",
    )
    broken = [
        n for n, p in parameters.items() if p.grad is not None and not p.grad.isfinite().all()
    ]
    require(not broken, f"the gradient of {_named(broken)} is not finite {when}.")


def _named(names: list[str]) -> str:
    listed = ", ".join(f"'{name}'" for name in names[:_MOST_NAMED])
    more = len(names) - _MOST_NAMED
    noun = agree(len(names), "parameter", "parameters")
    return f"{noun} {listed}" + (f" and {more} more" if more > 0 else "")


def repeatable(subject: Subject) -> Trial:
    """A part in evaluation mode with reproducible outputs.

    Raises:
        LeftOutError: Its outputs are random; `outputs_are_deterministic` reports that.
    """
    part, inputs = trial(subject)
    with torch.no_grad():
        pair = [list(tensors(part(*copy.deepcopy(inputs)))) for _ in range(2)]
    if not all(map(are_equal, *pair)):
        raise LeftOutError("its outputs are random, so they cannot be compared")
    return Trial(part, inputs)
