"""Measure whether rounding alone decides PyTorch's detections."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from detkit.export.comparison import Comparison, Tolerance
from detkit.structures.export_graph import ExportGraph, Images

_MILLIONTH = np.float32(1 + 1e-6)  # about the rounding of a few layers in float32


def rounding_note(graph: ExportGraph, trials: Iterable[Images], tolerance: Tolerance) -> str:
    """Explain a difference by rounding if PyTorch differs as much from itself; otherwise "".

    Untrained weights give many boxes equal scores, and rounding decides which of them NMS keeps.
    No engine can then give the same detections, and no comparison of them can find an error.

    Args:
        graph: The graph that the model was made from.
        trials: Batches to run it on, as they are and changed by a millionth.
        tolerance: How far detections may be off.
    """
    comparison = Comparison(tolerance)
    with torch.no_grad():
        for images in trials:
            expected, changed = (
                [output.numpy() for output in graph.module(torch.from_numpy(values))]
                for values in (images, images * _MILLIONTH)
            )
            comparison.add(expected, changed)
    if comparison.is_close:
        return ""
    return (
        f"; {comparison.different:,} of {comparison.rows:,} rows differ in PyTorch itself if the "
        "images change by a millionth: rounding decides, as with untrained weights, and this "
        "export cannot be certified"
    )
