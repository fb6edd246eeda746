"""Re-run one batch and record every module's output range."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from detkit.detectors.base import DetectorModule
from detkit.structures import Batch
from detkit.text import listed

_AUTOCAST = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


class ModuleOutput(NamedTuple):
    """The range of a module's output in one call.

    Attributes:
        name: The name of the module in the detector.
        kind: Its class.
        input_finite: Whether its input is finite.
        input_peak: The largest finite magnitude in its input; NaN without one.
        output_finite: Whether its output is finite.
        low: The smallest finite value in its output; NaN without one.
        high: The largest finite value in its output.
    """

    name: str
    kind: str
    input_finite: bool
    input_peak: float
    output_finite: bool
    low: float
    high: float

    def __str__(self) -> str:
        """The module with its class."""
        return f"{self.name} ({self.kind})"

    def input_text(self) -> str:
        """A description of its input."""
        if not self.input_finite:
            return "its input is not finite either"
        return f"its input is finite, up to {self.input_peak:.3g} in magnitude"


@dataclass(frozen=True)
class StepReplay:
    """The result of replaying a batch.

    Attributes:
        losses: The value of each loss part.
        modules: Every call of a module, in the order in which they ended.
        gradients: Whether the gradient and its norm, which overflows first, are finite, by
            parameter name; without parameters that the loss does not reach.
    """

    losses: dict[str, float]
    modules: list[ModuleOutput]
    gradients: dict[str, bool]

    @property
    def bad_modules(self) -> list[ModuleOutput]:
        """The calls whose output is not finite, first to last."""
        return [module for module in self.modules if not module.output_finite]

    @property
    def bad_losses(self) -> list[str]:
        """The loss parts that are not finite."""
        return [name for name, value in self.losses.items() if not math.isfinite(value)]

    @property
    def bad_gradients(self) -> list[str]:
        """The parameters with a non-finite gradient, the one nearest to the loss first."""
        return [name for name, finite in reversed(self.gradients.items()) if not finite]

    @property
    def is_finite(self) -> bool:
        """Whether losses and gradients are finite."""
        return not (self.bad_losses or self.bad_gradients)

    def finding(self) -> str:
        """The first non-finite value, as a sentence."""
        if self.bad_losses and self.bad_modules:
            first = self.bad_modules[0]
            return f"the first module whose output is not finite: {first}, {first.input_text()}"
        if self.bad_losses:
            return (
                "the output of every module is finite: "
                f"{listed(self.bad_losses)} became not finite outside of modules"
            )
        if self.bad_gradients:
            return (
                f"the gradients of {len(self.bad_gradients)} of {len(self.gradients)} parameters "
                f"are not finite, nearest to the loss that of {self.bad_gradients[0]}"
            )
        return "repeated, the step has finite losses and gradients"


def replay_step(detector: DetectorModule, batch: Batch, precision: str) -> StepReplay:
    """Compute losses and gradients of a batch; changes neither weights nor their `grad`.

    To repeat random choices, restore the random state first.

    Args:
        detector: The detector on the batch's device, in training or evaluation mode.
        batch: The images and objects.
        precision: Lightning's name of the precision.
    """
    outputs: list[ModuleOutput] = []
    trainable = {name: value for name, value in detector.named_parameters() if value.requires_grad}
    with _watched(detector, outputs), torch.enable_grad():
        # Compiled parts would not call the hooks.
        with torch.compiler.set_stance("force_eager"), _autocast(precision, batch.images.device):
            losses = detector.loss(batch)
        parts = {name: float(value.detach()) for name, value in losses.items()}
        total = torch.stack([v.float() for k, v in losses.items() if k.startswith("loss/")]).sum()
        gradients: tuple[Tensor | None, ...] = ()
        if total.requires_grad:
            # Not `backward`, which would wake DistributedDataParallel's own hooks.
            gradients = torch.autograd.grad(total, list(trainable.values()), allow_unused=True)
    finite = {
        name: bool(value.float().norm().isfinite())
        for name, value in zip(trainable, gradients, strict=False)
        if value is not None
    }
    return StepReplay(parts, outputs, finite)


@contextlib.contextmanager
def _watched(detector: nn.Module, outputs: list[ModuleOutput]) -> Iterator[None]:
    handles = [
        module.register_forward_hook(partial(_note, outputs, name))
        for name, module in detector.named_modules()
        if name
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _note(
    outputs: list[ModuleOutput], name: str, module: nn.Module, inputs: Any, output: Any
) -> None:
    values, made = ([value.detach() for value in tensors_in(side)] for side in (inputs, output))
    finite_values, finite = ([value[value.isfinite()] for value in side] for side in (values, made))
    outputs.append(
        ModuleOutput(
            name=name,
            kind=type(module).__name__,
            input_finite=all(bool(value.isfinite().all()) for value in values),
            input_peak=max(
                (float(v.abs().max()) for v in finite_values if len(v)), default=math.nan
            ),
            output_finite=all(bool(value.isfinite().all()) for value in made),
            low=min((float(value.min()) for value in finite if len(value)), default=math.nan),
            high=max((float(value.max()) for value in finite if len(value)), default=math.nan),
        )
    )


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The floating-point tensors in nested tuples, lists and mappings."""
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_in(item)


def _autocast(precision: str, device: torch.device) -> contextlib.AbstractContextManager[Any]:
    kind = _AUTOCAST.get(precision)
    if kind is None:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=kind, cache_enabled=False)
