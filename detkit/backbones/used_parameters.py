"""Find the parameters that each feature map of a network depends on, without using memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn


def first_maps(twin: nn.Module, side: int) -> dict[str, int]:
    """The place of the finest map that each parameter leads to; those of no map are left out.

    Args:
        twin: The network on the meta device; gives maps, fine to coarse.
        side: Of the image that it is run with.
    """
    parameters = dict(twin.named_parameters())
    found: dict[str, int] = {}
    for place, level in enumerate(_run(twin, side, side)):
        gradients = torch.autograd.grad(
            level.sum(), list(parameters.values()), retain_graph=True, allow_unused=True
        )
        for name, gradient in zip(parameters, gradients, strict=True):
            if gradient is not None:
                found.setdefault(name, place)
    return found


def takes_any_size(twin: nn.Module, side: int, stride: int) -> bool:
    """Whether a network on the meta device runs with images of other sizes than its own."""
    try:
        _run(twin, side + stride, side + 2 * stride)
    except (RuntimeError, AssertionError, ValueError):
        return False
    return True


class Unused(NamedTuple):
    """What leads to no map of a network."""

    layers: tuple[str, ...]
    """Layers that are safe to remove."""
    parameters: frozenset[str]
    """All parameters, those of the layers included."""


def find_unused(twin: nn.Module, side: int) -> Unused:
    """Find what leads to no map; the layers of sequences where removing them is safe.

    Args:
        twin: The network on the meta device; is changed.
        side: Of the image that it is run with.
    """
    used = set(first_maps(twin, side))
    parameters = frozenset(name for name, _ in twin.named_parameters() if name not in used)
    shapes = [level.shape for level in _run(twin, side, side)]
    unused = [name for name, module in _layers(twin) if not used.intersection(_held(name, module))]
    for name in unused:
        twin.set_submodule(name, nn.Identity())
    safe = [level.shape for level in _run(twin, side, side)] == shapes
    return Unused(tuple(unused) if safe else (), parameters)


def drop(network: nn.Module, unused: Unused) -> None:
    """Remove the unused layers of a network and freeze its other unused parameters."""
    for name in unused.layers:
        network.set_submodule(name, nn.Identity())
    for name, parameter in network.named_parameters():
        if name in unused.parameters:
            parameter.requires_grad_(False)


def _run(twin: nn.Module, height: int, width: int) -> Sequence[Tensor]:
    maps: Sequence[Tensor] = twin(torch.empty(1, 3, height, width, device="meta"))
    return maps


def _layers(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """The layers of a network's outermost sequences, which are called with one value each."""
    return [
        (f"{name}.{own}", layer)
        for name, module in network.named_children()
        if isinstance(module, nn.Sequential)
        for own, layer in module.named_children()
        if any(True for _ in layer.parameters())
    ]


def _held(name: str, module: nn.Module) -> list[str]:
    return [f"{name}.{inner}" for inner, _ in module.named_parameters()]
