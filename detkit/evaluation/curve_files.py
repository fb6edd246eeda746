"""The curves of an analysis as CSV files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detkit.files import write_atomically
from detkit.structures.analysis import Analysis, mean_of_classes

ALL, MEAN = "(all classes together)", "(mean of classes)"
Values = NDArray[np.float64]


def write_curves(analysis: Analysis, folder: Path) -> list[Path]:
    """Write the curves of each class, of all together, and their mean; return the files.

    Empty cells have no value: a precision without detections, a recall without objects.

    Args:
        analysis: The analysis.
        folder: Where to write; created if needed.
    """
    thresholds, roc, names = analysis.thresholds, analysis.roc, analysis.class_names
    by_score = _rows(names, thresholds.scores, thresholds.precision, thresholds.recall,
                     thresholds.f1)  # fmt: skip
    files = {
        "score_thresholds.csv": (
            ("class", "score_threshold", "precision", "recall", "f1"),
            by_score,
        ),
        "precision_recall.csv": (("class", "iou", "recall", "precision"), _by_recall(analysis)),
        "froc.csv": (
            ("class", "false_positives_per_image", "recall"),
            _rows(names, roc.false_positives, roc.recall),
        ),
        "roc.csv": (
            ("class", "false_positive_rate", "true_positive_rate"),
            _rows(names, roc.false_positive_rate, roc.true_positive_rate),
        ),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, (heading, rows) in files.items():
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(heading)
        writer.writerows([_cell(value) for value in row] for row in rows)
        write_atomically(folder / name, text.getvalue())
    return [folder / name for name in files]


def _rows(names: Sequence[str], across: Values, *values: Values) -> Iterator[list[str | float]]:
    """A row for each class and position; the arrays are (C + 1, S), with all classes last."""
    with_mean = [np.vstack([rows, mean_of_classes(rows[:-1])]) for rows in values]
    for label, name in enumerate([*names, ALL, MEAN]):
        for position, value in enumerate(across.tolist()):
            yield [name, value, *(float(rows[label, position]) for rows in with_mean)]


def _by_recall(analysis: Analysis) -> Iterator[list[str | float]]:
    curves = analysis.precision_recall
    for row, threshold in enumerate(curves.iou_thresholds):
        precision = curves.precision[row]
        of_mean = mean_of_classes(precision)
        lines: Iterable[tuple[str, Values]] = zip(
            [*analysis.class_names, MEAN], [*precision, of_mean], strict=True
        )
        for name, values in lines:
            for recall, value in zip(curves.recall.tolist(), values.tolist(), strict=True):
                yield [name, threshold, recall, value]


def _cell(value: str | float) -> str | float:
    if isinstance(value, str):
        return value
    return "" if np.isnan(value) else round(value, 6)
