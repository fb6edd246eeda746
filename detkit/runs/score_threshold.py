"""The score thresholds at which a run measured its best F1, for all classes and for each."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

from detkit.runs.bundle import CLASS_THRESHOLDS, bundle_at
from detkit.runs.layout import BUNDLE, RunFolder
from detkit.runs.tensor_file import mapping_in

USUAL = 0.3  # for detectors whose F1 was not measured
_KEY = "score_threshold"


class ScoreThreshold(NamedTuple):
    """A score threshold and its origin.

    Attributes:
        value: Detections with a lower score are left out.
        origin: The reason for this value, for messages.
    """

    value: float
    origin: str


def default_threshold(checkpoint: Path) -> ScoreThreshold:
    """The threshold for a checkpoint if the user sets none.

    Args:
        checkpoint: A file in a run folder or a bundle, or a single file.
    """
    value = measured_threshold(checkpoint)
    if value is None:
        return ScoreThreshold(USUAL, "the default, as no measured F1 comes with this checkpoint")
    return ScoreThreshold(value, "where F1 on the run's validation images was best")


def measured_threshold(checkpoint: Path) -> float | None:
    """The threshold in the results of a run or in its bundle; None if there is none.

    Args:
        checkpoint: A file in a run folder or a bundle, or a single file.
    """
    folder = bundle_at(checkpoint)
    if folder is not None:
        return _valid(mapping_in(folder / BUNDLE).get(_KEY))
    node = _of_run(checkpoint, "all_classes")
    return _valid(node.get(_KEY)) if isinstance(node, dict) else None


def measured_class_thresholds(checkpoint: Path) -> dict[str, float] | None:
    """The threshold of each class that has one, by name; None if there is none.

    Args:
        checkpoint: A file in a run folder or a bundle, or a single file.
    """
    folder = bundle_at(checkpoint)
    if folder is not None:
        values = mapping_in(folder / BUNDLE).get(CLASS_THRESHOLDS)
    else:
        points = _of_run(checkpoint, "classes")
        pairs = points.items() if isinstance(points, dict) else ()
        values = {name: p.get(_KEY) for name, p in pairs if isinstance(p, dict)}
    pairs = values.items() if isinstance(values, dict) else ()
    scores = {name: score for name, value in pairs if (score := _valid(value)) is not None}
    return scores or None


def _of_run(checkpoint: Path, kind: str) -> Any:
    node: Any = mapping_in(RunFolder.of_checkpoint(checkpoint).results)
    for key in ("analysis", "score_thresholds", kind):
        node = node.get(key) if isinstance(node, dict) else None
    return node


def _valid(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) and 0 <= value <= 1 else None
