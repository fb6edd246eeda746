"""The layers of Darknet's networks, in the order of its weight files, by detkit's names."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple


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


Layers = list[Block | Output]


def _block(name: str, before: int, after: int, size: int = 3) -> Block:
    return Block(name, (after, before, size, size))


def _alternating(prefix: str, widths: Sequence[int], sizes: tuple[int, int]) -> list[Block]:
    """Convolutions from width to width, numbered from 0; kernels of two sizes alternate."""
    return [
        _block(f"{prefix}.{index}", before, after, sizes[index % 2])
        for index, (before, after) in enumerate(pairwise(widths))
    ]


def _yolov2() -> Layers:
    layers: Layers = [
        _block("backbone.stages.0.0", 3, 32),
        _block("backbone.stages.0.2", 32, 64),
    ]
    for stage, convs in enumerate((3, 3, 5, 5), start=1):
        narrow = 32 * 2**stage
        widths = [narrow] + [2 * narrow, narrow] * (convs // 2) + [2 * narrow]
        for index, (before, after) in enumerate(pairwise(widths), start=1):
            size = 3 if index % 2 else 1
            layers.append(_block(f"backbone.stages.{stage}.{index}", before, after, size))
    layers += [
        _block("neck.coarse.0", 1024, 1024),
        _block("neck.coarse.1", 1024, 1024),
        _block("neck.passthrough", 512, 64, 1),
        _block("neck.join", 1024 + 4 * 64, 1024),
        Output(0, 1024, 5),
    ]
    return layers


def _yolov2_tiny() -> Layers:
    names = ("0.0", "0.2", "1.1", "2.1", "3.1", "4.1", "4.3")
    widths = (3, 16, 32, 64, 128, 256, 512, 1024)
    layers: Layers = [
        _block(f"backbone.stages.{name}", before, after)
        for name, (before, after) in zip(names, pairwise(widths), strict=True)
    ]
    return [*layers, _block("neck.join", 1024, 512), Output(0, 512, 5)]


def _yolov3() -> Layers:
    layers: Layers = [_block("backbone.stages.0.0", 3, 32)]
    for stage, blocks in enumerate((1, 2, 8, 8, 4)):
        narrow, first = 32 * 2**stage, 0 if stage else 1  # the stem is before the first stage
        prefix = f"backbone.stages.{stage}"
        layers.append(_block(f"{prefix}.{first}", narrow, 2 * narrow))
        for index in range(first + 1, first + 1 + blocks):
            layers.append(_block(f"{prefix}.{index}.squeeze", 2 * narrow, narrow, 1))
            layers.append(_block(f"{prefix}.{index}.spread", narrow, 2 * narrow))
    for level, half, joined in ((2, 512, 1024), (1, 256, 768), (0, 128, 384)):
        if level < 2:  # noqa: PLR2004  # the coarsest level
            layers.append(_block(f"neck.lateral.{level}", 2 * half, half, 1))
        widths = [joined, half, 2 * half, half, 2 * half, half]
        layers += _alternating(f"neck.output.{level}", widths, (1, 3))
        layers.append(_block(f"head.layers.convs.{level}.0", half, 2 * half))
        layers.append(Output(level, 2 * half, 3))
    return layers


def _yolov3_tiny() -> Layers:
    return [*_yolov2_tiny()[:-2], *_tiny_neck(1024, 256)]


def _yolov4_tiny() -> Layers:
    layers: Layers = [
        _block("backbone.stages.0", 3, 32),
        _block("backbone.stages.1.0", 32, 64),
    ]
    before = 64
    for stage, width in enumerate((64, 128, 256), start=1):
        prefix = f"backbone.stages.{stage}.1"
        layers += [
            _block(f"{prefix}.entry", before, width),
            _block(f"{prefix}.first", width // 2, width // 2),
            _block(f"{prefix}.second", width // 2, width // 2),
            _block(f"{prefix}.join", width, width, 1),
        ]
        before = 2 * width
    return [*layers, _block("backbone.stages.4.1", 512, 512), *_tiny_neck(512, 256)]


def _tiny_neck(coarse: int, fine: int) -> Layers:
    """The neck and head of the tiny YOLOv3 and YOLOv4, for two levels with these channels."""
    return [
        _block("neck.entry", coarse, 256, 1),
        _block("neck.output.1", 256, 512),
        Output(1, 512, 3),
        _block("neck.lateral.0", 256, 128, 1),
        _block("neck.output.0", 128 + fine, 256),
        Output(0, 256, 3),
    ]


def _yolov4() -> Layers:
    layers: Layers = [_block("backbone.stages.0.0", 3, 32)]
    for stage, blocks in enumerate((1, 2, 8, 8, 4)):
        width, first = 64 * 2**stage, 0 if stage else 1  # the stem is before the first stage
        half = width // 2 if stage else width
        layers.append(_block(f"backbone.stages.{stage}.{first}", width // 2, width))
        prefix = f"backbone.stages.{stage}.{first + 1}"
        layers += [
            _block(f"{prefix}.past", width, half, 1),
            _block(f"{prefix}.entry", width, half, 1),
        ]
        for index in range(blocks):
            layers.append(_block(f"{prefix}.blocks.{index}.squeeze", half, width // 2, 1))
            layers.append(_block(f"{prefix}.blocks.{index}.spread", width // 2, half))
        layers.append(_block(f"{prefix}.blocks.{blocks}", half, half, 1))
        layers.append(_block(f"{prefix}.join", 2 * half, width, 1))
    layers += _alternating("neck.pooling.entry", (1024, 512, 1024, 512), (1, 3))
    layers += _alternating("neck.pooling.join", (2048, 512, 1024, 512), (1, 3))
    for level, half in ((1, 256), (0, 128)):
        layers.append(_block(f"neck.narrow.{level}", 2 * half, half, 1))
        layers.append(_block(f"neck.lateral.{level}", 2 * half, half, 1))
        layers += _five(f"neck.upward.{level}", half)
    for level, half in enumerate((128, 256, 512)):
        if level:
            layers.append(_block(f"neck.halving.{level - 1}", half // 2, half))
            layers += _five(f"neck.downward.{level - 1}", half)
        layers.append(_block(f"head.layers.convs.{level}.0", half, 2 * half))
        layers.append(Output(level, 2 * half, 3))
    return layers


def _five(prefix: str, half: int) -> list[Block]:
    """The convolutions that merge two maps of `half` channels."""
    return _alternating(prefix, (2 * half, half, 2 * half, half, 2 * half, half), (1, 3))


LAYERS: dict[str, Layers] = {
    "yolov2": _yolov2(),
    "yolov2_tiny": _yolov2_tiny(),
    "yolov3": _yolov3(),
    "yolov3_tiny": _yolov3_tiny(),
    "yolov4": _yolov4(),
    "yolov4_tiny": _yolov4_tiny(),
}
