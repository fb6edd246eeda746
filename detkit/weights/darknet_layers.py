"""The layers of Darknet's networks, in the order of its weight files, by detkit's names."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn

from detkit import assembly
from detkit.assembly import Classes
from detkit.config.compose import compose
from detkit.layers import ConvBlock

# For each page, the modules whose convolutions follow each other in Darknet's file. A number is the
# output layer of a level of the head.
_ORDER: dict[str, tuple[str | int, ...]] = {
    "yolov2": ("backbone", "neck.coarse", "neck.passthrough", "neck.join", 0),
    "yolov2_tiny": ("backbone", "neck.join", 0),
    "yolov3": (
        *("backbone", "neck.output.2", "head.layers.convs.2", 2),
        *("neck.lateral.1", "neck.output.1", "head.layers.convs.1", 1),
        *("neck.lateral.0", "neck.output.0", "head.layers.convs.0", 0),
    ),
}
PAGES = tuple(_ORDER)


class Block(NamedTuple):
    """A convolution in the file, followed by a batch norm.

    Attributes:
        name: The ConvBlock in the detector.
        shape: Shape of its kernels.
    """

    name: str
    shape: tuple[int, ...]


class Output(NamedTuple):
    """A 1x1 convolution in the file that predicts boxes, objectness and classes.

    Attributes:
        level: The level of the head.
        channels: Its input channels.
        priors: Priors per cell.
    """

    level: int
    channels: int
    priors: int


def layers_of(page: str) -> list[Block | Output]:
    """The layers of a page in the order of Darknet's file."""
    config = compose("train", [f"model={page}"])
    detector = assembly.describe_on_meta(config["model"], Classes(["object"], [1]))
    layers: list[Block | Output] = []
    for part in _ORDER[page]:
        if isinstance(part, int):
            kernels = detector.get_submodule(f"head.layers.quality_layers.{part}").weight
            layers.append(Output(part, kernels.shape[1], kernels.shape[0]))
        else:
            layers += _blocks_in(detector.get_submodule(part), part)
    return layers


def _blocks_in(module: nn.Module, prefix: str) -> list[Block]:
    return [
        Block(f"{prefix}.{name}".rstrip("."), tuple(block.conv.weight.shape))
        for name, block in module.named_modules()
        if isinstance(block, ConvBlock)
    ]
