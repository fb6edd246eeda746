"""Find the parameters that each feature map of a network depends on, without using memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn


def first_maps(twin: nn.Module, side: int) -> dict[str, int]:
    """The index of the finest map that depends on each parameter; unused parameters are left out.

    Args:
        twin: The network on the meta device; gives maps, fine to coarse.
        side: Side of the image to run it with.
    """
    with torch.enable_grad():
        return _first_maps(twin, _run(twin, side, side))


def _first_maps(twin: nn.Module, maps: Sequence[Tensor]) -> dict[str, int]:
    parameters = dict(twin.named_parameters())
    map_indices: dict[str, int] = {}
    for index, level in enumerate(maps):
        gradients = torch.autograd.grad(
            level.sum(), list(parameters.values()), retain_graph=True, allow_unused=True
        )
        for name, gradient in zip(parameters, gradients, strict=True):
            if gradient is not None:
                map_indices.setdefault(name, index)
    return map_indices


def takes_any_size(twin: nn.Module, side: int, stride: int) -> bool:
    """Whether a network on the meta device accepts images of other sizes than its default."""
    try:
        _run(twin, side + stride, side + 2 * stride)
    except (RuntimeError, AssertionError, ValueError):
        return False
    return True


class Unused(NamedTuple):
    """Layers and parameters that no map of a network depends on."""

    layers: tuple[str, ...]
    """Layers that are safe to remove."""
    parameters: frozenset[str]
    """All unused parameters, including those of the unused layers."""


def find_unused(twin: nn.Module, side: int) -> Unused:
    """Find parameters without effect on any map, and layers that are safe to remove.

    Args:
        twin: The network on the meta device; changed in place.
        side: Side of the image to run it with.
    """
    with torch.enable_grad():
        maps = _run(twin, side, side)
        used = set(_first_maps(twin, maps))
    parameters = frozenset(name for name, _ in twin.named_parameters() if name not in used)
    unused = [
        name
        for name, module in _layers(twin)
        if not used.intersection(_parameter_names(name, module))
    ]
    for name in unused:
        twin.set_submodule(name, nn.Identity())
    if not unused:
        return Unused((), parameters)
    shapes = [level.shape for level in maps]
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
    """The layers of a network's outermost sequences, which take one input each."""
    return [
        (f"{name}.{child}", layer)
        for name, module in network.named_children()
        if isinstance(module, nn.Sequential)
        for child, layer in module.named_children()
        if any(True for _ in layer.parameters())
    ]


def _parameter_names(name: str, module: nn.Module) -> list[str]:
    return [f"{name}.{inner}" for inner, _ in module.named_parameters()]
