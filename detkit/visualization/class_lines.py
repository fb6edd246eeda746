"""Axes with a line for each class and for the total, shared by the pictures of an analysis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from detkit.structures.analysis import Analysis
from detkit.visualization.figures import line_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BLACK = (0.13, 0.14, 0.16)
GREY = (0.75, 0.76, 0.78)
_MOST_CLASSES = 10  # with a named line
Values = NDArray[np.float64]


def named_lines(analysis: Analysis) -> list[tuple[int, tuple[float, float, float], str]]:
    """Label, colour and style of the classes with a named line.

    All classes with objects, or of many the five with the highest AP and, dashed, the lowest.
    """
    labels = np.flatnonzero(analysis.objects > 0)
    if len(labels) <= _MOST_CLASSES:
        return [(label, line_colour(label), "-") for label in labels.tolist()]
    average = analysis.precision_recall.average_precision()[0]
    order = labels[np.argsort(-average[labels], kind="stable")].tolist()
    half = _MOST_CLASSES // 2
    best = [(label, line_colour(i), "-") for i, label in enumerate(order[:half])]
    return best + [(label, line_colour(i), "--") for i, label in enumerate(order[-half:])]


def draw_lines(
    axes: Axes,
    analysis: Analysis,
    *,
    across: Values,
    values: Values,
    labels: list[str],
    total: Values | None,
    total_label: str,
    mean: Values | None = None,
    mean_label: str = "mean of classes",
) -> None:
    """Draw named classes in colour, other classes in grey, the total and the mean in black.

    Args:
        axes: Where to draw.
        analysis: Names the classes and their objects.
        across: (S,) horizontal positions.
        values: (C, S) a row for each class.
        labels: Text of each class in the legend.
        total: (S,) all classes together, or None.
        total_label: Its text in the legend.
        mean: (S,) mean of the classes, dotted, or None.
        mean_label: Its text in the legend.
    """
    lines = named_lines(analysis)
    for label in {*np.flatnonzero(analysis.objects > 0).tolist()} - {line[0] for line in lines}:
        axes.plot(across, values[label], color=GREY, linewidth=0.6)
    for label, colour, style in lines:
        axes.plot(across, values[label], style, color=colour, linewidth=1.6, label=labels[label])
    if mean is not None:
        axes.plot(across, mean, ":", color=BLACK, linewidth=2.0, label=mean_label)
    if total is not None:
        axes.plot(across, total, color=BLACK, linewidth=2.2, label=total_label)


def unit_square(axes: Axes) -> None:
    """Set both axes to 0..1."""
    axes.set_xlim(0, 1.01)
    axes.set_ylim(0, 1.02)


def side_legend(axes: Axes, title: str) -> None:
    """A legend to the right of the axes."""
    legend = axes.legend(
        title=title, fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5)
    )
    legend.get_title().set_fontsize(8)
