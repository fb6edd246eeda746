"""Measure whether rounding alone decides PyTorch's detections."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from detkit.export.comparison import Comparison, Outputs, Tolerance, split
from detkit.export.graph import torch_outputs
from detkit.structures.export_graph import ExportGraph, Images
from detkit.structures.exported import RAW_OUTPUTS

TRIALS = 6  # enough batches to find out
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
    comparison, equal = Comparison(tolerance), 0
    for images in trials:
        expected, changed = (torch_outputs(graph, v) for v in (images, images * _MILLIONTH))
        comparison.add(expected, changed)
        equal += _equal_scores(expected)
    if comparison.is_close and 2 * equal <= comparison.rows:
        return ""
    return (
        f"; in PyTorch itself, {comparison.different:,} of {comparison.rows:,} rows differ if the "
        f"images change by a millionth, and {equal:,} have the score of another row: rounding "
        "decides, as with untrained weights, and this export cannot be certified"
    )


def _equal_scores(outputs: Outputs) -> int:
    """Detections with exactly the score of a better one of the same image."""
    if len(outputs) == len(RAW_OUTPUTS):
        return 0  # nothing is ranked
    return sum(len(image.scores) - len(np.unique(image.scores)) for image in split(outputs))
