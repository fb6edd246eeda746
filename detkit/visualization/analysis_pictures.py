"""An analysis as pictures, each with a sentence that says how to read it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from detkit.structures.analysis import Analysis
from detkit.visualization.confusion_picture import plot_confusion
from detkit.visualization.figures import as_text, describe, line_colour, new_figure, save_figure

# File name -> heading, and how to read the picture.
READING: dict[str, tuple[str, str]] = {
    "errors": (
        "What AP loses to which error",
        "Each bar is how much AP at IoU 0.50 would rise if the errors of that kind alone were "
        "repaired: the longest bar is what to work on first. The numbers beside it count the "
        "errors; many wrong boxes with low scores cost little AP.",
    ),
    "precision_recall": (
        "Precision and recall",
        "From left to right more objects are found; the height says how many of the detections "
        "that this takes are right. A curve that ends early never finds the remaining objects at "
        "any score. The number of a class is its AP; a large drop from IoU 0.50 to 0.75 means "
        "boxes that are in the right place but not tight.",
    ),
    "score_thresholds": (
        "Which score threshold to choose",
        "Detections below a threshold are thrown away. The dot marks the threshold with the best "
        "balance of precision and recall (F1), given in the legend: choose it for "
        "score_threshold of `detkit predict`; go lower to miss less, higher for fewer false "
        "alarms.",
    ),
    "confusion": (
        "What is taken for what",
        "A row is what there was, a column what it was called; the diagonal is right. The last "
        "column holds objects that were missed, the last row detections of nothing or of an "
        "object that was detected already.",
    ),
    "sizes": (
        "Small and large objects",
        "AP and recall of objects below 32², up to 96², and above, in pixels of the original "
        "image. A low bar for small objects asks for a larger image_size; one that rests on few "
        "objects says little.",
    ),
}
_MOST_CLASSES = 10  # lines with a name of their own
_BLACK = (0.13, 0.14, 0.16)
_GREY = (0.75, 0.76, 0.78)
Values = NDArray[np.float64]


def write_pictures(analysis: Analysis, numbers: Mapping[str, float], folder: Path) -> list[Path]:
    """Draw what there is to draw as PNG into a folder.

    Args:
        analysis: What was found.
        numbers: The metric's; `AP_small` and so on are drawn where they are given.
        folder: Is made where it does not exist; an old picture that cannot be drawn now goes.
    """
    drawing: dict[str, Callable[[Path], Path | None]] = {
        "errors": lambda path: plot_errors(analysis, path),
        "precision_recall": lambda path: plot_precision_recall(analysis, path),
        "score_thresholds": lambda path: plot_score_thresholds(analysis, path),
        "confusion": lambda path: plot_confusion(analysis, path),
        "sizes": lambda path: plot_sizes(analysis, numbers, path),
    }
    for name in drawing:
        (folder / f"{name}.png").unlink(missing_ok=True)
    if not analysis.objects.any():
        return []
    written = [draw(folder / f"{name}.png") for name, draw in drawing.items()]
    return [path for path in written if path is not None]


def plot_errors(analysis: Analysis, picture: Path) -> Path:
    """Bars of the AP that each kind of error costs, and wrong and missing boxes as a whole."""
    errors = analysis.errors
    bars = [
        (kind, gain, f"{int(errors.counts[kind].sum()):,}") for kind, gain in errors.gains.items()
    ]
    bars += [
        ("all wrong detections", errors.false_positive_gain, ""),
        ("all missing objects", errors.false_negative_gain, ""),
    ]
    figure = new_figure(8, 4)
    axes = figure.add_subplot()
    places = [*range(len(errors.gains)), len(errors.gains) + 0.6, len(errors.gains) + 1.6]
    colours = [line_colour(i) for i in range(len(errors.gains))] + [_GREY, _GREY]
    axes.barh(places, [gain for _, gain, _ in bars], color=colours, height=0.7)
    reach = max([0.01, *(gain for _, gain, _ in bars)])
    for place, (_, gain, count) in zip(places, bars, strict=True):
        text = f"+{gain:.3f}" + (f"   {count} errors" if count else "")
        axes.text(gain + 0.01 * reach, place, text, va="center", fontsize=8, color=_BLACK)
    axes.set_yticks(places, [name for name, _, _ in bars])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.3 * reach)
    title = (
        f"AP at IoU {errors.foreground:.2f} is {errors.average_precision:.3f}; "
        "without each kind of error it would gain"
    )
    describe(axes, title, "AP gained")
    axes.grid(axis="y", visible=False)
    return save_figure(figure, picture)


def plot_precision_recall(analysis: Analysis, picture: Path) -> Path:
    """A panel for each IoU threshold: a line for each class, and their mean."""
    curves, known = analysis.precision_recall, analysis.objects > 0
    average = curves.average_precision()
    figure = new_figure(7.2 * len(curves.iou_thresholds), 4.6)
    for row, threshold in enumerate(curves.iou_thresholds):
        axes = figure.add_subplot(1, len(curves.iou_thresholds), row + 1)
        mean = curves.precision[row, known].mean(axis=0)
        _lines(
            axes,
            analysis,
            across=curves.recall,
            values=curves.precision[row],
            total=mean if known.sum() > 1 else None,
            labels=[
                f"{as_text(n)}  {a:.3f}"
                for n, a in zip(analysis.class_names, average[row], strict=True)
            ],
            total_label=f"mean  {average[row, known].mean():.3f}",
        )
        describe(axes, f"IoU {threshold:.2f}", "recall", "precision")
        _unit_square(axes)
        _legend(axes, "AP of each class")
    return save_figure(figure, picture)


def plot_score_thresholds(analysis: Analysis, picture: Path) -> Path:
    """F1, precision and recall against the score threshold, the best F1 as a dot."""
    found = analysis.thresholds
    figure = new_figure(16, 4.6)
    best = [
        f"F1 {point.f1:.2f} at {point.score_threshold:.2f}"
        if math.isfinite(point.score_threshold)
        else "nothing found"
        for point in found.best
    ]
    labels = [f"{as_text(n)}  {b}" for n, b in zip(analysis.class_names, best[:-1], strict=True)]
    parts = {"F1": found.f1, "precision": found.precision, "recall": found.recall}
    for position, (name, values) in enumerate(parts.items(), start=1):
        axes = figure.add_subplot(1, 3, position)
        several = values[-1] if len(analysis.class_names) > 1 else None
        total = f"all together  {best[-1]}"
        _lines(
            axes,
            analysis,
            across=found.scores,
            values=values[:-1],
            total=several,
            labels=labels,
            total_label=total,
        )
        if name == "F1":
            points = [(found.best[label], colour) for label, colour, _ in _named_lines(analysis)]
            for point, colour in [*points, (found.best[-1], _BLACK)]:
                axes.plot(point.score_threshold, point.f1, "o", color=colour, markersize=5)
        describe(axes, f"{name} at IoU {found.iou_threshold:.2f}", "score threshold", name)
        _unit_square(axes)
    _legend(axes, "best F1 and its threshold")
    return save_figure(figure, picture)


def plot_sizes(analysis: Analysis, numbers: Mapping[str, float], picture: Path) -> Path | None:
    """AP and recall of small, medium and large objects; nothing where the metric has none."""
    sizes = list(analysis.objects_by_size)
    if not any(math.isfinite(numbers.get(f"AP_{size}", math.nan)) for size in sizes):
        return None
    figure = new_figure(7, 3.8)
    axes = figure.add_subplot()
    for shift, (kind, meaning) in enumerate({"AP": "AP", "AR": "recall"}.items()):
        values = [numbers.get(f"{kind}_{size}", math.nan) for size in sizes]
        places = np.arange(len(sizes)) + 0.38 * (shift - 0.5)
        axes.bar(places, np.nan_to_num(values), 0.36, color=line_colour(shift), label=meaning)
        for place, value in zip(places, values, strict=True):
            text = f"{value:.3f}" if math.isfinite(value) else "none"
            axes.text(place, np.nan_to_num(value) + 0.01, text, ha="center", fontsize=8)
    counts = [f"{size}\n{analysis.objects_by_size[size]:,} objects" for size in sizes]
    describe(axes, "AP and recall by the size of objects, IoU 0.50 to 0.95", "")
    axes.set_xticks(range(len(sizes)), counts, fontsize=9)
    axes.set_ylim(0, 1.08)
    axes.grid(axis="x", visible=False)
    axes.legend(fontsize=8, frameon=False, ncols=2, loc="upper right")
    return save_figure(figure, picture)


def _named_lines(analysis: Analysis) -> list[tuple[int, tuple[float, float, float], str]]:
    """Label, colour and style of the classes with a line of their own.

    All with objects; of many the five with the best AP, and dashed the five with the worst.
    """
    known = np.flatnonzero(analysis.objects > 0)
    if len(known) <= _MOST_CLASSES:
        return [(label, line_colour(label), "-") for label in known.tolist()]
    average = analysis.precision_recall.average_precision()[0]
    order = known[np.argsort(-average[known], kind="stable")].tolist()
    half = _MOST_CLASSES // 2
    best = [(label, line_colour(i), "-") for i, label in enumerate(order[:half])]
    return best + [(label, line_colour(i), "--") for i, label in enumerate(order[-half:])]


def _lines(
    axes: Axes,
    analysis: Analysis,
    *,
    across: Values,
    values: Values,
    total: Values | None,
    labels: list[str],
    total_label: str,
) -> None:
    """The named classes in their colours, others in grey, all of them in black."""
    lines = _named_lines(analysis)
    for label in {*np.flatnonzero(analysis.objects > 0).tolist()} - {line[0] for line in lines}:
        axes.plot(across, values[label], color=_GREY, linewidth=0.6)
    for label, colour, style in lines:
        axes.plot(across, values[label], style, color=colour, linewidth=1.6, label=labels[label])
    if total is not None:
        axes.plot(across, total, color=_BLACK, linewidth=2.2, label=total_label)


def _unit_square(axes: Axes) -> None:
    axes.set_xlim(0, 1.01)
    axes.set_ylim(0, 1.02)


def _legend(axes: Axes, title: str) -> None:
    legend = axes.legend(
        title=title, fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5)
    )
    legend.get_title().set_fontsize(8)
