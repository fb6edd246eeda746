"""Pictures of an error analysis, each with an explanation of how to read it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from detkit.structures.analysis import Analysis, mean_of_classes
from detkit.visualization.class_lines import (
    BLACK,
    GREY,
    draw_lines,
    named_lines,
    side_legend,
    unit_square,
)
from detkit.visualization.confusion_picture import plot_confusion
from detkit.visualization.figures import as_text, describe, line_colour, new_figure, save_figure
from detkit.visualization.roc_picture import plot_roc

# File name -> heading and explanation of the picture.
READING: dict[str, tuple[str, str]] = {
    "errors": (
        "AP lost to each kind of error",
        "Each bar shows how much AP at IoU 0.50 would rise if only errors of that kind were fixed: "
        "start with the longest bar. The numbers beside the bars count the errors; many wrong "
        "boxes with low scores cost little AP.",
    ),
    "precision_recall": (
        "Precision and recall",
        "From left to right, more objects are found; the height is the share of detections that "
        "are right. Where a curve ends early, the remaining objects are not found at any score. "
        "The number of a class is its AP; a large drop from IoU 0.50 to 0.75 means that boxes are "
        "in the right place but not tight.",
    ),
    "score_thresholds": (
        "Which score threshold to choose",
        "Detections below the threshold are discarded. The dot marks the threshold with the best "
        "balance of precision and recall (F1); the legend names it. Use it as score_threshold of "
        "`detkit predict`; go lower to miss fewer objects, higher for fewer false alarms.",
    ),
    "roc": (
        "FROC and ROC curves",
        "Left, FROC: the share of objects that are detected against the wrong detections per "
        "image, as the score threshold falls; the number is the mean at 1/8, 1/4, 1/2, 1, 2, 4 and "
        "8 of them. Right, ROC of the scores: the share of correct detections above a threshold "
        "against the share of wrong ones; the area is the probability that a correct detection "
        "scores higher than a wrong one. It says nothing about missed objects.",
    ),
    "confusion": (
        "Confusion matrix",
        "Rows are objects, columns are detections; the diagonal is correct. The last column counts "
        "missed objects, the last row detections of the background or of an object that was "
        "already detected.",
    ),
    "sizes": (
        "Small and large objects",
        "AP and recall of objects below 32², up to 96², and above, in pixels of the original "
        "image. If small objects score low, try a larger image_size. A bar based on few objects "
        "is unreliable.",
    ),
}


def write_pictures(analysis: Analysis, numbers: Mapping[str, float], folder: Path) -> list[Path]:
    """Draw the pictures of an analysis into a folder as PNG; return their paths.

    Args:
        analysis: The analysis.
        numbers: The metrics; the picture of sizes needs `AP_small` and so on.
        folder: Created if needed; old pictures in it are replaced or removed.
    """
    drawing: dict[str, Callable[[Path], Path | None]] = {
        "errors": lambda path: plot_errors(analysis, path),
        "precision_recall": lambda path: plot_precision_recall(analysis, path),
        "score_thresholds": lambda path: plot_score_thresholds(analysis, path),
        "roc": lambda path: plot_roc(analysis, path),
        "confusion": lambda path: plot_confusion(analysis, path),
        "sizes": lambda path: plot_sizes(analysis, numbers, path),
    }
    for name in drawing:
        (folder / f"{name}.png").unlink(missing_ok=True)
    if not analysis.objects.any():
        return []
    paths = [draw(folder / f"{name}.png") for name, draw in drawing.items()]
    return [path for path in paths if path is not None]


def plot_errors(analysis: Analysis, picture: Path) -> Path:
    """Bars of the AP lost to each kind of error, to all wrong and to all missing boxes."""
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
    positions = [*range(len(errors.gains)), len(errors.gains) + 0.6, len(errors.gains) + 1.6]
    colours = [line_colour(i) for i in range(len(errors.gains))] + [GREY, GREY]
    axes.barh(positions, [gain for _, gain, _ in bars], color=colours, height=0.7)
    reach = max([0.01, *(gain for _, gain, _ in bars)])
    for position, (_, gain, count) in zip(positions, bars, strict=True):
        text = f"+{gain:.3f}" + (f"   {count} errors" if count else "")
        axes.text(gain + 0.01 * reach, position, text, va="center", fontsize=8, color=BLACK)
    axes.set_yticks(positions, [name for name, _, _ in bars])
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
    """A panel per IoU threshold with a line per class and their mean."""
    curves, has_objects = analysis.precision_recall, analysis.objects > 0
    average = curves.average_precision()
    figure = new_figure(7.2 * len(curves.iou_thresholds), 4.6)
    for row, threshold in enumerate(curves.iou_thresholds):
        axes = figure.add_subplot(1, len(curves.iou_thresholds), row + 1)
        mean = curves.precision[row, has_objects].mean(axis=0)
        draw_lines(
            axes,
            analysis,
            across=curves.recall,
            values=curves.precision[row],
            total=mean if has_objects.sum() > 1 else None,
            labels=[
                f"{as_text(n)}  {a:.3f}"
                for n, a in zip(analysis.class_names, average[row], strict=True)
            ],
            total_label=f"mean  {average[row, has_objects].mean():.3f}",
        )
        describe(axes, f"IoU {threshold:.2f}", "recall", "precision")
        unit_square(axes)
        side_legend(axes, "AP of each class")
    return save_figure(figure, picture)


def plot_score_thresholds(analysis: Analysis, picture: Path) -> Path:
    """F1, precision and recall by score threshold; a dot marks the best F1."""
    thresholds = analysis.thresholds
    figure = new_figure(16, 4.6)
    best = [
        f"F1 {point.f1:.2f} at {point.score_threshold:.2f}"
        if math.isfinite(point.score_threshold)
        else "nothing found"
        for point in thresholds.best
    ]
    labels = [f"{as_text(n)}  {b}" for n, b in zip(analysis.class_names, best[:-1], strict=True)]
    parts = {"F1": thresholds.f1, "precision": thresholds.precision, "recall": thresholds.recall}
    for position, (name, values) in enumerate(parts.items(), start=1):
        axes = figure.add_subplot(1, 3, position)
        several = values[-1] if len(analysis.class_names) > 1 else None
        total = f"all together  {best[-1]}"
        draw_lines(
            axes,
            analysis,
            across=thresholds.scores,
            values=values[:-1],
            total=several,
            labels=labels,
            total_label=total,
            mean=mean_of_classes(values[:-1]) if several is not None else None,
        )
        if name == "F1":
            named = named_lines(analysis)
            points = [(thresholds.best[label], colour) for label, colour, _ in named]
            for point, colour in [*points, (thresholds.best[-1], BLACK)]:
                axes.plot(point.score_threshold, point.f1, "o", color=colour, markersize=5)
        describe(axes, f"{name} at IoU {thresholds.iou_threshold:.2f}", "score threshold", name)
        unit_square(axes)
    side_legend(axes, "best F1 and its threshold")
    return save_figure(figure, picture)


def plot_sizes(analysis: Analysis, numbers: Mapping[str, float], picture: Path) -> Path | None:
    """AP and recall of small, medium and large objects; None if the metric lacks them."""
    sizes = list(analysis.objects_by_size)
    if not any(math.isfinite(numbers.get(f"AP_{size}", math.nan)) for size in sizes):
        return None
    figure = new_figure(7, 3.8)
    axes = figure.add_subplot()
    for shift, (kind, meaning) in enumerate({"AP": "AP", "AR": "recall"}.items()):
        values = [numbers.get(f"{kind}_{size}", math.nan) for size in sizes]
        positions = np.arange(len(sizes)) + 0.38 * (shift - 0.5)
        axes.bar(positions, np.nan_to_num(values), 0.36, color=line_colour(shift), label=meaning)
        for position, value in zip(positions, values, strict=True):
            text = f"{value:.3f}" if math.isfinite(value) else "none"
            axes.text(position, np.nan_to_num(value) + 0.01, text, ha="center", fontsize=8)
    counts = [f"{size}\n{analysis.objects_by_size[size]:,} objects" for size in sizes]
    describe(axes, "AP and recall by the size of objects, IoU 0.50 to 0.95", "")
    axes.set_xticks(range(len(sizes)), counts, fontsize=9)
    axes.set_ylim(0, 1.08)
    axes.grid(axis="x", visible=False)
    axes.legend(fontsize=8, frameon=False, ncols=2, loc="upper right")
    return save_figure(figure, picture)
