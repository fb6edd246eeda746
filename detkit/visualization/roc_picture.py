"""FROC curves, and ROC curves of the scores, as a picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from detkit.structures.analysis import Analysis, mean_of_classes
from detkit.visualization.class_lines import GREY, draw_lines, side_legend, unit_square
from detkit.visualization.figures import as_text, describe, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_roc(analysis: Analysis, picture: Path) -> Path:
    """Recall over wrong detections per image, and true-positive over false-positive rate."""
    roc = analysis.roc
    figure = new_figure(14.4, 4.6)
    axes = figure.add_subplot(1, 2, 1)
    _draw(axes, analysis, roc.false_positives, roc.recall, roc.froc_score)
    describe(
        axes, f"FROC, IoU {roc.iou_threshold:.2f}", "wrong detections per image", "share of objects"
    )
    axes.set_xscale("log")
    axes.set_xlim(roc.false_positives[0], roc.false_positives[-1])
    axes.set_ylim(0, 1.02)
    side_legend(axes, "mean recall at 1/8 to 8")
    axes = figure.add_subplot(1, 2, 2)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
    _draw(axes, analysis, roc.false_positive_rate, roc.true_positive_rate, roc.area)
    title = f"ROC of the scores, IoU {roc.iou_threshold:.2f}"
    describe(axes, title, "share of wrong detections", "share of correct detections")
    unit_square(axes)
    side_legend(axes, "area under the curve")
    return save_figure(figure, picture)


def _draw(
    axes: Axes,
    analysis: Analysis,
    across: NDArray[np.float64],
    values: NDArray[np.float64],
    numbers: NDArray[np.float64],
) -> None:
    """Draw a line for each class, its number in the legend, and all together and their mean."""
    several = len(analysis.class_names) > 1
    mean_number = float(mean_of_classes(numbers[:-1, None])[0])
    draw_lines(
        axes,
        analysis,
        across=across,
        values=values[:-1],
        labels=[
            f"{as_text(name)}  {_number(number)}"
            for name, number in zip(analysis.class_names, numbers[:-1].tolist(), strict=True)
        ],
        total=values[-1] if several else None,
        total_label=f"all together  {_number(float(numbers[-1]))}",
        mean=mean_of_classes(values[:-1]) if several else None,
        mean_label=f"mean of classes  {_number(mean_number)}",
    )


def _number(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "none"
