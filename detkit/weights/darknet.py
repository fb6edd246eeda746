"""Weight files of Darknet (`yolov2.weights`), by detkit's names."""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from detkit.errors import UserError
from detkit.weights.class_names import coco_slots_without_gaps
from detkit.weights.darknet_layers import LAYERS, Block, Output
from detkit.weights.weight_source import WeightSource
from detkit.weights.yolo_outputs import separate_outputs

SUFFIX = ".weights"
_COCO_CLASSES = 80
_BOX_VALUES = 5  # x, y, width, height and objectness
_MOST_CLASSES = 10_000
# Darknet adds 1e-6 to the deviation, torch 1e-5 to the variance.
_DARKNET_EPSILON, _EPSILON = 1e-6, 1e-5


def read_darknet(path: Path) -> WeightSource:
    """Convert a weight file of YOLOv2 to YOLOv4; its length tells which page it belongs to.

    Raises:
        UserError: No page has as many values.
    """
    values = _read_values(path)
    counts = {page: _count_classes(layers, len(values)) for page, layers in LAYERS.items()}
    fitting = [(page, classes) for page, classes in counts.items() if classes is not None]
    if not fitting:
        raise UserError(
            f"{path}: holds {len(values):,} numbers, the length of no Darknet network that detkit "
            f"reads ({', '.join(LAYERS)}, with any number of classes): the file is damaged or "
            "incomplete, so download it again, or it belongs to another network."
        )
    page, classes = min(fitting, key=lambda page_and_classes: page_and_classes[1])
    slots = coco_slots_without_gaps() if classes == _COCO_CLASSES else None
    kind = f"{page.replace('_', ' ')} of Darknet{', with the classes of COCO' if slots else ''}"
    return WeightSource(
        path=path,
        kind=kind,
        tensors=_named_tensors(LAYERS[page], values, classes),
        logits=classes,
        slots=slots,
        page=page,
        augmentation="standard",
        overrides=("model.pixel_mean=[0,0,0]", "model.pixel_std=[255,255,255]"),
    )


def _read_values(path: Path) -> Tensor:
    """The file's numbers after its header: three integers for the version, and images seen."""
    content = path.read_bytes()
    if len(content) < struct.calcsize("<3iQ"):
        raise UserError(f"{path}: has {len(content)} bytes, too few for a weight file of Darknet.")
    major, minor, _ = struct.unpack_from("<3i", content)
    # Since version 0.2, the number of images has 8 bytes.
    is_long = major * 10 + minor >= 2 and major < 1000 and minor < 1000  # noqa: PLR2004
    start = struct.calcsize("<3iQ" if is_long else "<3iI")
    if (len(content) - start) % 4:
        raise UserError(
            f"{path}: its length of {len(content):,} bytes is no whole number of float32 values "
            "after the header: the file is damaged or incomplete, so download it again."
        )
    return torch.from_numpy(np.frombuffer(content, dtype="<f4", offset=start).astype(np.float32))


class Size(NamedTuple):
    """The numbers in a file: `fixed`, and `per_value` for each value that a prior predicts."""

    fixed: int
    per_value: int


def count_values(layers: list[Block | Output]) -> Size:
    """Count the numbers in a file with these layers."""
    blocks = [layer for layer in layers if isinstance(layer, Block)]
    outputs = [layer for layer in layers if isinstance(layer, Output)]
    return Size(
        fixed=sum(math.prod(block.shape) + 4 * block.shape[0] for block in blocks),
        per_value=sum(layer.priors * (layer.channels + 1) for layer in outputs),
    )


def _count_classes(layers: list[Block | Output], count: int) -> int | None:
    """The number of classes with which the layers have this many values, or None."""
    size = count_values(layers)
    values, rest = divmod(count - size.fixed, size.per_value)
    classes = values - _BOX_VALUES
    return classes if rest == 0 and 0 < classes <= _MOST_CLASSES else None


def _named_tensors(layers: list[Block | Output], values: Tensor, classes: int) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    start = 0

    def take(*shape: int) -> Tensor:
        nonlocal start
        start += math.prod(shape)
        return values[start - math.prod(shape) : start].view(shape)

    for layer in layers:
        if isinstance(layer, Block):
            width = layer.shape[0]
            bias, scale, mean, variance = (take(width) for _ in range(4))
            adapted = scale * (variance + _EPSILON).sqrt() / (variance.sqrt() + _DARKNET_EPSILON)
            tensors |= {
                f"{layer.name}.norm.bias": bias,
                f"{layer.name}.norm.weight": adapted,
                f"{layer.name}.norm.running_mean": mean,
                f"{layer.name}.norm.running_var": variance,
                f"{layer.name}.conv.weight": take(*layer.shape),
            }
        else:
            rows = layer.priors * (_BOX_VALUES + classes)
            bias, weight = take(rows), take(rows, layer.channels, 1, 1)
            tensors |= separate_outputs(layer.level, bias, layer.priors, "bias")
            tensors |= separate_outputs(layer.level, weight, layer.priors, "weight")
    return tensors
