"""Contracts of all networks: backbones, necks, pooling, box heads, and the forward of heads.

`trial` makes inputs for the family of a network. In evaluation mode, its outputs must be a function
of these inputs and its state dict alone.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from detkit.contracts import scenes
from detkit.contracts.case import BrokenContractError, Subject
from detkit.contracts.network_trials import (
    repeatable,
    require_gradients,
    trainable,
    trial,
)
from detkit.contracts.tensor_checks import (
    require,
    require_finite,
    require_near,
    require_same,
    tensors,
    unchanged,
)
from detkit.structures import FeatureSpec

# Number and (height, width) of images that dynamic shapes are traced and run with. The coarsest map
# must be larger than 1 x 1, which torch.export takes for a constant; extra levels get very coarse.
_SHAPES = {
    False: [(2, (256, 320)), (3, (192, 256))],
    True: [(2, (640, 768)), (3, (576, 704))],
}
_ROUNDING = 0.1  # of bfloat16 through a deep network, relative to the size of the whole output


class _Forward(nn.Module):
    """Wrap any part as a module, since torch.export accepts no other callables."""

    def __init__(self, part: Any) -> None:
        super().__init__()
        self.part = part

    def forward(self, *inputs: Any) -> Any:
        return self.part(*inputs)


def every_parameter_gets_a_gradient(subject: Subject) -> None:
    """Each trainable parameter; for a neck, also its input levels."""
    part, inputs = trial(subject, training=True)
    levels: list[Tensor] = []
    if subject.family == "neck":
        levels = [level.requires_grad_() for level in inputs[0]]
        inputs = (
            [level * 1 for level in levels],
        )  # non-leaf tensors, like the outputs of a backbone
    outputs = list(tensors(part(*inputs)))
    require(len(outputs) > 0, "it returned no tensor.")
    total = torch.stack(
        [(output.float() * scenes.random(*output.shape)).sum() for output in outputs]
    )
    require_gradients(part, total.sum(), "in a forward")
    if levels:
        message = (
            "no gradient reaches the input levels, so the backbone cannot learn: do not detach "
        )
        message += "them."
        require(total.requires_grad, message)
        if not trainable(part):
            total.sum().backward()  # type: ignore[no-untyped-call]
        require(any(level.grad is not None for level in levels), message)


def outputs_are_deterministic(subject: Subject) -> None:
    """In evaluation mode nothing is random, and no call affects the next one."""
    part, inputs = trial(subject)
    with torch.no_grad():
        first, second = part(*copy.deepcopy(inputs)), part(*copy.deepcopy(inputs))
    require_same(
        second,
        first,
        "in evaluation mode the same input gave two different outputs: draw random numbers only in "
        "training mode (`if self.training`), and keep no state between calls.",
    )


def inputs_are_not_modified(subject: Subject) -> None:
    """In both modes."""
    for training in (True, False):
        part, inputs = trial(subject, training)
        with unchanged(*inputs), torch.no_grad():
            part(*inputs)


def state_dict_restores_everything(subject: Subject) -> None:
    """A new part that loads the state of a trained one gives the same outputs."""
    part, inputs = repeatable(subject)
    if not isinstance(part, nn.Module):
        return
    part.train()
    with torch.no_grad():
        part(*inputs)  # updates running averages
    file = io.BytesIO()
    torch.save(part.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    restored = trial(subject).part
    with torch.no_grad():
        for value in restored.state_dict().values():
            value.add_(torch.ones_like(value))  # the loaded state must replace these values
    restored.load_state_dict(state)
    part.eval()
    with torch.no_grad():
        require_same(
            restored(*inputs),
            part(*inputs),
            "a new part with the same state dict gave other outputs: keep all state in parameters "
            "or buffers (`self.register_buffer`), or checkpoints lose it.",
        )


def images_do_not_affect_each_other(subject: Subject) -> None:
    """In evaluation mode the first of two images gives the same outputs as alone."""
    part, inputs = repeatable(subject)
    with torch.no_grad():
        together = [output[:1] for output in tensors(part(*inputs))]
        alone = list(tensors(part(*_first(inputs))))
    require_near(
        together,
        alone,
        "an image gave other outputs in a batch of two than alone, off by {}: do not mix images.",
    )


def _first(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The inputs of the first image alone."""
    (value,) = inputs
    return ([level[:1] for level in value],) if isinstance(value, list) else (value[:1],)


def bfloat16_is_close_to_float32(subject: Subject) -> None:
    """Under autocast, as training in mixed precision runs it."""
    part, inputs = repeatable(subject)
    with torch.no_grad():
        expected = list(tensors(part(*inputs)))
        with torch.autocast("cpu", torch.bfloat16):
            outputs = list(tensors(part(*inputs)))
    require_finite(outputs, "under bfloat16 autocast its outputs are not finite.")
    require_near(
        outputs,
        expected,
        "under bfloat16 autocast its outputs are off by {}: run the sensitive computations in "
        "float32 (`value.float()`).",
        _ROUNDING,
    )


def half_precision_weights_give_half_precision_outputs(subject: Subject) -> None:
    """The whole part in bfloat16, as for inference."""
    part, inputs = trial(subject)
    if not isinstance(part, nn.Module):
        return
    part.to(torch.bfloat16)
    with torch.no_grad():
        outputs = list(tensors(part(*_halved(inputs))))
    wrong = {str(output.dtype) for output in outputs} - {"torch.bfloat16"}
    require(
        not wrong,
        f"weights and inputs are bfloat16, but outputs are {', '.join(sorted(wrong))}: create "
        "tensors with the dtype of an input, and cast back after computing in float32.",
    )
    require_finite(outputs, "in bfloat16 its outputs are not finite.")


def _halved(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    (value,) = inputs
    if isinstance(value, list):
        return ([level.bfloat16() for level in value],)
    return (value.bfloat16(),)


def exported_program_gives_the_same_outputs(subject: Subject) -> None:
    """`torch.export` of the forward, not strict, in evaluation mode."""
    part, inputs = repeatable(subject)
    with torch.no_grad():
        expected = part(*inputs)
        outputs = _exported(_Forward(part), inputs, None).module()(*inputs)
    require_near(outputs, expected, "the exported program gives other outputs, off by {}.")


class _OnLevels(nn.Module):
    """Run a part on feature levels whose sizes follow from an image, as behind a backbone."""

    def __init__(self, part: Any, specs: Sequence[FeatureSpec]) -> None:
        super().__init__()
        self.part = part
        self._strides = [int(spec.stride) for spec in specs]
        self._weights = [scenes.random(1, spec.channels, 1, 1) for spec in specs]

    def forward(self, image: Tensor) -> Any:
        image = image[:, :1]
        pairs = zip(self._strides, self._weights, strict=True)
        return self.part([image[:, :, ::stride, ::stride] * weight for stride, weight in pairs])


def it_exports_for_any_batch_and_size(subject: Subject) -> None:
    """`torch.export` with dynamic batch, height and width gives the same outputs.

    If the part only takes images of its `fixed_size`, the batch alone is dynamic.
    """
    is_on_levels = subject.family in ("neck", "layers")
    axes: tuple[int, ...] = (0, 2, 3)
    shapes = [(count, 3, *size) for count, size in _SHAPES[is_on_levels]]
    if subject.family == "box_head":
        _, shape = scenes.build_on_region(subject)
        axes, shapes = (0,), [(4, *shape), (3, *shape)]
    if is_on_levels:
        layers, specs = scenes.build_on_levels(subject)
        part: Any = _OnLevels(layers, specs)
        only_size = getattr(layers, "fixed_size", None)
        if only_size is not None:
            axes, shapes = (0,), [(count, 3, *only_size) for count in (4, 3)]
    else:
        part = trial(subject).part
    module = _Forward(part).eval()
    traced, inputs = (scenes.random(*shape) for shape in shapes)
    dynamic = dict.fromkeys(axes, torch.export.Dim.DYNAMIC)
    program = _exported(module, (traced,), ((dynamic,),))
    with torch.no_grad():
        require_near(
            program.module()(inputs),
            module(inputs),
            "the program that is exported for any batch and size gives other outputs, off by {}.",
        )


def _exported(module: nn.Module, inputs: tuple[Any, ...], shapes: Any) -> Any:
    """Trace a module.

    Raises:
        BrokenContractError: It cannot be traced, or not with dynamic shapes.
    """
    try:
        with torch.no_grad():
            return torch.export.export(module.eval(), inputs, dynamic_shapes=shapes, strict=False)
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        advice = "use only tensor operations, no `.item()` and no `if` on tensor values"
        if shapes is not None:
            advice += ", and `value.shape[0]` instead of `len(value)`, which fixes the batch"
        raise BrokenContractError(
            f"torch.export cannot trace it ({type(error).__name__}: {reason}): {advice}."
        ) from error
