"""Contracts of exporters: the written model gives PyTorch's outputs, for any size and batch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from detkit.contracts.case import BrokenContractError, LeftOutError, Subject
from detkit.contracts.tensor_checks import require
from detkit.contracts.tiny_training import quiet
from detkit.errors import UserError
from detkit.export.graph import graph_module
from detkit.structures import ExportedModel, ExportGraph

_PRECISIONS = ("fp32", "fp16", "int8")
_SHAPES = ((1, 16, 24), (2, 20, 24), (3, 16, 32))  # batch, height, width
_OFF = 1e-3
METADATA = ExportedModel(
    class_names=("cat", "dog"),
    category_ids=(1, 18),
    resize={"resize": {"name": "resize_exact", "height": 16, "width": 24}},
    padding=(120.0, 110.0, 100.0),
    score_threshold=0.4,
    pad_multiple=4,
    stride=2,
    nms=False,
)


class TinyNetwork(nn.Module):
    """Boxes and scores of two classes for each cell of a map at half the size of the images."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.box = nn.Conv2d(8, 4, 1)
        self.score = nn.Conv2d(8, 2, 1)

    def raw_detections(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) to (B, P, 4) and (B, P, 2)."""
        features = self.stem(images / 255).relu()
        maps = (self.box(features) * 10, self.score(features).sigmoid())
        boxes, scores = (level.permute(0, 2, 3, 1).flatten(1, 2) for level in maps)
        return boxes, scores


def tiny_graph(**changes: Any) -> ExportGraph:
    """A graph that exports in seconds; `changes` are of its metadata."""
    metadata = replace(METADATA, **changes)
    example = torch.full((metadata.batch or 2, 3, 16, 24), 114.0)
    with torch.random.fork_rng(devices=[]):
        return ExportGraph(graph_module(TinyNetwork(), nms=False), example, metadata)


def attributes_are_valid(subject: Subject) -> None:
    """`suffix`, `engine` and `precisions`."""
    exporter = subject.build()
    suffix, precisions = exporter.suffix, exporter.precisions
    require(
        isinstance(suffix, str) and (not suffix or suffix.startswith(".")),
        f"`suffix` is {suffix!r}, expected the end of a file's name such as '.onnx', or '' for a "
        "folder.",
    )
    require(bool(exporter.engine), "`engine` is empty: name the engine that `open` runs.")
    unknown = set(precisions) - set(_PRECISIONS)
    require(
        "fp32" in precisions and not unknown,
        f"`precisions` is {precisions}: list fp32, and fp16 and int8 if it writes them.",
    )


def written_models_give_the_same_outputs(subject: Subject) -> None:
    """`write`, `open` and a run with other sizes and numbers of images than the example has."""
    exporter = subject.build()
    try:
        exporter.require()
    except UserError as error:
        raise LeftOutError(str(error)) from error
    graph = tiny_graph()
    with TemporaryDirectory() as folder, quiet():
        path = Path(folder) / f"model{exporter.suffix}"
        exporter.write(graph, path)
        require(path.exists(), f"`write` made no {path.name}: write to the path that it gets.")
        engine = exporter.open(path, 1)
    _require_dynamic(engine.input_shape)
    for batch, height, width in _SHAPES:
        images = np.random.default_rng(0).uniform(0, 255, (batch, 3, height, width))
        images = images.astype(np.float32)
        with torch.no_grad():
            expected = [value.numpy() for value in graph.module(torch.from_numpy(images))]
        _require_near(engine(images), expected, images.shape)


def _require_dynamic(shape: Any) -> None:
    axes = {0: "batch", 2: "height", 3: "width"}
    fixed = [name for axis, name in axes.items() if len(shape) > axis and shape[axis] is not None]
    require(
        len(shape) == 4 and not fixed,  # noqa: PLR2004  # batch, channels, height, width
        f"`input_shape` is {shape}, expected (None, 3, None, None): the graph's batch, height and "
        "width are dynamic.",
    )


def _require_near(outputs: Any, expected: list[Any], shape: tuple[int, ...]) -> None:
    shapes = [np.shape(output) for output in outputs]
    if shapes != [output.shape for output in expected]:
        raise BrokenContractError(
            f"for images of shape {shape} the outputs have shapes {shapes}, expected "
            f"{[output.shape for output in expected]}: return them in the graph's order."
        )
    for output, reference in zip(outputs, expected, strict=True):
        difference = float(np.abs(output - reference).max())
        require(
            difference < _OFF,
            f"for images of shape {shape} an output is off by {difference:.3g}.",
        )
