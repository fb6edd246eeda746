"""The blocks of a backbone in the order of their depth, for freezing and layer-wise rates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol, runtime_checkable

from torch import nn

STEM = "stem"


class NetworkBlock(NamedTuple):
    """Layers that count as one step of depth: a residual block, a transformer block, the stem.

    Attributes:
        stage: The stage that it belongs to: `stem`, `stage1`, `stage2`, ...
        parameters: Names of its parameters, relative to the network.
    """

    stage: str
    parameters: tuple[str, ...]


@runtime_checkable
class OrderedNetwork(Protocol):
    """A backbone that lists its blocks from the input to the output.

    Layers that are in no block, such as a pyramid on top of the network, train at the full rate.
    """

    def ordered_blocks(self) -> list[NetworkBlock]:
        """The blocks, shallow to deep; the blocks of a stage are neighbours."""
        ...


def inner_blocks(network: object, prefix: str) -> list[NetworkBlock]:
    """The blocks of a network that is stored under a name; none if it does not list them."""
    if not isinstance(network, OrderedNetwork):
        return []
    return [
        NetworkBlock(block.stage, tuple(f"{prefix}.{name}" for name in block.parameters))
        for block in network.ordered_blocks()
    ]


def stage_name(number: int) -> str:
    """`stem` for 0, `stage1` for 1, and so on."""
    return f"stage{number}" if number else STEM


def split_stage(stage: str, layers: Iterable[tuple[str, nn.Module]]) -> list[NetworkBlock]:
    """Divide the layers of a stage into blocks.

    Layers with several weights, such as residual blocks, are blocks; single convolutions, with or
    without a norm, belong to the block after them. The stem, and a stage of single convolutions
    only, are one block.

    Args:
        stage: Its name.
        layers: Its layers with their names in the network, in order.
    """
    blocks: list[list[str]] = []
    names: list[str] = []
    for name, layer in _flattened(layers):
        names += [f"{name}.{inner}" for inner, _ in layer.named_parameters()]
        is_block = sum(parameter.ndim > 1 for parameter in layer.parameters()) > 1
        if is_block and stage != STEM and names:
            blocks.append(names)
            names = []
    if blocks:
        blocks[-1] += names
    elif names:
        blocks.append(names)
    return [NetworkBlock(stage, tuple(names)) for names in blocks]


def _flattened(layers: Iterable[tuple[str, nn.Module]]) -> Iterator[tuple[str, nn.Module]]:
    """The layers, with sequences replaced by their children."""
    for name, layer in layers:
        if type(layer) is nn.Sequential:
            yield from ((f"{name}.{child}", inner) for child, inner in layer.named_children())
        else:
            yield name, layer
