"""What every network promises: backbones, necks, pooling, box heads, and the forwards of heads.

A network is tried on the inputs of its family (`trial`). In evaluation mode it is a function of
them and of its state dict alone.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from detkit.contracts import scenes
from detkit.contracts.case import BrokenContractError, LeftOutError, Subject
from detkit.contracts.tensor_checks import (
    are_equal,
    require,
    require_finite,
    require_near,
    require_same,
    tensors,
    unchanged,
)

_MOST_NAMED = 3
_ROUNDING = 0.1  # of bfloat16 through a deep network, relative to the size of the whole output


class Trial(NamedTuple):
    """A part and the inputs of its forward."""

    part: Any
    inputs: tuple[Any, ...]


class _Forward(nn.Module):
    """Any part as a module, since export takes no other callables."""

    def __init__(self, part: Any) -> None:
        super().__init__()
        self.part = part

    def forward(self, *inputs: Any) -> Any:
        return self.part(*inputs)


def _on_maps(subject: Subject, **wiring: Any) -> Trial:
    part, specs = scenes.build_on_levels(subject)
    return Trial(part, (scenes.maps(specs),))


def _on_regions(subject: Subject) -> Trial:
    part, specs = scenes.build_on_levels(subject)
    return Trial(part, (scenes.maps(specs), scenes.regions(), list(scenes.SIZES)))


def _pooling(subject: Subject) -> Trial:
    part, specs = scenes.build_on_levels(subject)
    image = torch.tensor([0, 0, 0, 1])
    return Trial(part, (scenes.maps(specs), torch.cat(scenes.regions()), image))


REGION_SHAPE = (32, 4, 4)
_TRIALS: dict[str, Callable[[Subject], Trial]] = {
    "backbone": lambda subject: Trial(subject.build(), (scenes.images(),)),
    "neck": _on_maps,
    "head": _on_maps,
    "proposer": _on_maps,
    "roi_head": _on_regions,
    "pooling": _pooling,
    "box_head": lambda subject: Trial(
        subject.build(region_shape=REGION_SHAPE), (scenes.random(4, *REGION_SHAPE),)
    ),
    "detector": lambda subject: Trial(subject.build(), (scenes.images() * 50 + 110,)),
}


def trial(subject: Subject, training: bool = False) -> Trial:
    """A part of a family of networks in a mode, and inputs for it."""
    made = _TRIALS[subject.family](subject)
    set_mode(made.part, training)
    return made


def set_mode(part: Any, training: bool) -> None:
    """Training or evaluation, where the part has modes."""
    if isinstance(part, nn.Module):
        part.train(training)


def trainable(part: Any) -> dict[str, nn.Parameter]:
    """The parameters that are not frozen, by name."""
    named = part.named_parameters() if isinstance(part, nn.Module) else ()
    return {name: parameter for name, parameter in named if parameter.requires_grad}


def require_gradients(part: Any, total: Tensor, when: str) -> None:
    """Go backward from a number, and see that each parameter gets a finite gradient.

    Raises:
        BrokenContractError: One does not.
    """
    parameters = trainable(part)
    if not parameters:
        return
    if not total.requires_grad:
        raise BrokenContractError(
            f"no parameter has a part in the result {when}: do not detach it, nor compute it under "
            "`torch.no_grad()`."
        )
    for parameter in parameters.values():
        parameter.grad = None
    total.backward()  # type: ignore[no-untyped-call]
    lacking = [name for name, parameter in parameters.items() if parameter.grad is None]
    require(
        not lacking,
        f"{_named(lacking)} got no gradient {when}: every parameter needs a part in each result "
        "(multiply by 0 where it has none), or other ranks wait for it; freeze or remove what is "
        "not used.",
    )
    broken = [
        n for n, p in parameters.items() if p.grad is not None and not p.grad.isfinite().all()
    ]
    require(not broken, f"the gradient of {_named(broken)} is not finite {when}.")


def _named(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:_MOST_NAMED])
    more = len(names) - _MOST_NAMED
    noun = "parameter" if len(names) == 1 else "parameters"
    return f"{noun} {shown}" + (f" and {more} more" if more > 0 else "")


def each_parameter_gets_a_gradient(subject: Subject) -> None:
    """Each trainable parameter; through a neck also the levels before it."""
    part, inputs = trial(subject, training=True)
    before: list[Tensor] = []
    if subject.family == "neck":
        before = [level.requires_grad_() for level in inputs[0]]
        inputs = ([level * 1 for level in before],)  # as the layers of a backbone give them
    outputs = list(tensors(part(*inputs)))
    require(len(outputs) > 0, "it gave no tensor.")
    total = torch.stack([(each.float() * scenes.random(*each.shape)).sum() for each in outputs])
    require_gradients(part, total.sum(), "in a forward")
    if before:
        lost = "no gradient goes back to the levels that come in, so the backbone cannot learn: do "
        lost += "not detach them."
        require(total.requires_grad, lost)
        if not trainable(part):
            total.sum().backward()  # type: ignore[no-untyped-call]
        require(any(level.grad is not None for level in before), lost)


def repeatable(subject: Subject) -> Trial:
    """A part in evaluation mode, whose results can be compared.

    Raises:
        LeftOutError: It gives another result each time, which a promise of its own says.
    """
    part, inputs = trial(subject)
    with torch.no_grad():
        pair = [list(tensors(part(*copy.deepcopy(inputs)))) for _ in range(2)]
    if not all(map(are_equal, *pair)):
        raise LeftOutError("its results are random, so they cannot be compared")
    return Trial(part, inputs)


def the_same_comes_out_twice(subject: Subject) -> None:
    """In evaluation mode nothing is random, and no call changes the next one."""
    part, inputs = trial(subject)
    with torch.no_grad():
        first, second = part(*copy.deepcopy(inputs)), part(*copy.deepcopy(inputs))
    require_same(
        second,
        first,
        "in evaluation mode the same input gave two results: draw random numbers in training mode "
        "only (`if self.training`), and keep nothing from one call to the next.",
    )


def inputs_stay_as_they_are(subject: Subject) -> None:
    """In both modes."""
    for training in (True, False):
        part, inputs = trial(subject, training)
        with unchanged(*inputs), torch.no_grad():
            part(*inputs)


def a_state_dict_brings_everything_back(subject: Subject) -> None:
    """A part that is built anew and loads the state of a trained one gives the same."""
    part, inputs = repeatable(subject)
    if not isinstance(part, nn.Module):
        return
    part.train()
    with torch.no_grad():
        part(*inputs)  # moves averages
    file = io.BytesIO()
    torch.save(part.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    again = trial(subject).part
    with torch.no_grad():
        for value in again.state_dict().values():
            value.add_(torch.ones_like(value))  # whatever it had been, the state must replace it
    again.load_state_dict(state)
    part.eval()
    with torch.no_grad():
        require_same(
            again(*inputs),
            part(*inputs),
            "another one with the same state dict gave another result: keep what matters in "
            "parameters or buffers (`self.register_buffer`), or a checkpoint loses it.",
        )


def an_image_does_not_see_others(subject: Subject) -> None:
    """In evaluation mode the first of two images gives what it gives alone."""
    part, inputs = repeatable(subject)
    with torch.no_grad():
        together = [output[:1] for output in tensors(part(*inputs))]
        alone = list(tensors(part(*_first(inputs))))
    require_near(
        together,
        alone,
        "an image gave another result in a batch of two than alone, off by {}: do not mix images.",
    )


def _first(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The inputs of the first image alone."""
    (given,) = inputs
    return ([level[:1] for level in given],) if isinstance(given, list) else (given[:1],)


def bfloat16_is_close_to_float32(subject: Subject) -> None:
    """Under autocast, as training in mixed precision runs it."""
    part, inputs = repeatable(subject)
    with torch.no_grad():
        expected = list(tensors(part(*inputs)))
        with torch.autocast("cpu", torch.bfloat16):
            found = list(tensors(part(*inputs)))
    require_finite(found, "it gave numbers that are not finite under bfloat16 autocast.")
    require_near(
        found,
        expected,
        "under bfloat16 autocast its result is off by {}: compute what needs precision in float32 "
        "(`value.float()`).",
        _ROUNDING,
    )


def half_precision_weights_give_half_precision(subject: Subject) -> None:
    """The whole part in bfloat16, as for inference."""
    part, inputs = trial(subject)
    if not isinstance(part, nn.Module):
        return
    part.to(torch.bfloat16)
    with torch.no_grad():
        found = list(tensors(part(*_halved(inputs))))
    wrong = {str(output.dtype) for output in found} - {"torch.bfloat16"}
    require(
        not wrong,
        f"weights and inputs were bfloat16 and {', '.join(sorted(wrong))} came out: create tensors "
        "with the dtype of an input, and go back to it after computing in float32.",
    )
    require_finite(found, "it gave numbers that are not finite in bfloat16.")


def _halved(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    (given,) = inputs
    if isinstance(given, list):
        return ([level.bfloat16() for level in given],)
    return (given.bfloat16(),)


def export_gives_the_same_numbers(subject: Subject) -> None:
    """`torch.export` of the forward, not strict, in evaluation mode."""
    part, inputs = repeatable(subject)
    with torch.no_grad():
        expected = part(*inputs)
        try:
            program = torch.export.export(_Forward(part).eval(), inputs, strict=False)
        except Exception as error:
            reason = str(error).strip().partition("\n")[0]
            raise BrokenContractError(
                f"torch.export cannot trace it ({type(error).__name__}: {reason}): use tensor "
                "operations only, no `.item()`, no `if` on values."
            ) from error
        found = program.module()(*inputs)
    require_near(found, expected, "the exported part gave other numbers, off by {}.")
