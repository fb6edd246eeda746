"""What an exported model is certified with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from detkit.interfaces import Metric
from detkit.structures import Batch, Detections
from detkit.structures.arrays import DetectionArrays
from detkit.structures.export_graph import Images


@dataclass(frozen=True)
class Evidence:
    """What a model is certified with.

    Attributes:
        images: Images (3, H, W) to compare outputs on.
        step: Sides of trial images are multiples of this.
        batches: The validation set; None if it cannot be read.
        reason: Why not, in words.
        metrics: Two empty metrics, for PyTorch and for the engine.
        predict: PyTorch's detections on a batch, in original coordinates.
        finish: Raw outputs to the detections of each image, for graphs without post-processing;
            None if the post-processing only runs in PyTorch.
        ap_tolerance: The largest change of AP; None takes the precision's.
        threads: Threads for all but the measurement of speed.
    """

    images: Sequence[Images]
    step: int
    batches: Iterable[Batch] | None
    reason: str
    metrics: tuple[Metric, Metric] | None
    predict: Callable[[Batch], list[Detections]]
    finish: Callable[[Sequence[NDArray[Any]]], Iterable[DetectionArrays]] | None = None
    ap_tolerance: float | None = None
    threads: int = 1
