"""What an exporter gets, and what it returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from detkit.structures.exported import ExportedModel

INPUT = "images"
Images = NDArray[np.float32]  # (B, 3, H, W) RGB in 0..255


@dataclass(frozen=True)
class ExportGraph:
    """A detector as a graph of tensors.

    Attributes:
        module: Maps images (B, 3, H, W) float32 to a tuple of tensors; in evaluation mode.
        example: Images to trace the module with.
        metadata: Goes into the file; its `size` and `batch` are None where the axis is dynamic.
        calibration: Images that show an int8 exporter the range of each layer's output.
        keep_float: Modules, by path such as `head.layers`, that int8 leaves in float.
        measures_sensitivity: Whether int8 measures how much each layer's output suffers.
    """

    module: nn.Module
    example: Tensor
    metadata: ExportedModel
    calibration: Sequence[Images] = ()
    keep_float: tuple[str, ...] = ()
    measures_sensitivity: bool = False

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the outputs, in order."""
        return self.metadata.outputs


class LayerNoise(NamedTuple):
    """What int8 costs a layer: signal to noise of the outputs if it alone is int8, in decibels."""

    layer: str
    decibels: float


class LayerComparison(NamedTuple):
    """How the outputs of a written model's layers agree with PyTorch's.

    Attributes:
        compared: The compared layers, up to the first one that differs.
        difference: That layer and its difference; None if no layer differs by itself.
        unseen: Layers with weights that no compared output depends on.
        values: What was compared: `outputs`, or `weights` if the format hides outputs.
    """

    compared: tuple[str, ...]
    difference: str | None = None
    unseen: tuple[str, ...] = ()
    values: str = "outputs"


@dataclass(frozen=True)
class WrittenExport:
    """What an exporter wrote besides the model.

    Attributes:
        float_file: The float32 model that an int8 model was made from, to compare both; the caller
            deletes it.
        sensitivity: The layers by their noise, worst first, if the graph asked for it.
    """

    float_file: Path | None = None
    sensitivity: list[LayerNoise] = field(default_factory=list)
