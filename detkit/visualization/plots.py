"""Plot the curves of a run."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from detkit.visualization.figures import as_text, describe, line_colour, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curve = tuple[list[float], list[float]]
_MOST_DOTS = 40  # a longer curve is drawn without dots
_MOST_CLASSES = 10
_NO_CURVES = ("step", "epoch", "seconds", "images/s")
_AP_CURVES = ("val/AP", "val/AP50", "val/AP75", "val/mask_AP", "val/mask_AP50")
_LEAST_AP = 0.1  # lowest top of the AP axis


def plot_curves(metrics_file: Path, picture: Path) -> Path | None:
    """Draw the losses, the AP and the learning rate of a run over its steps as PNG.

    Args:
        metrics_file: The run's `metrics.csv`.
        picture: The PNG file to write.

    Returns:
        `picture`, or None if there are no curves.
    """
    curves = read_curves(metrics_file)
    panels = [
        ("loss", _named(curves, "loss", "loss/")),
        ("validation AP", _selected(curves, _AP_CURVES)),
        ("AP of each class", _named(curves, None, "val/AP/")),
        ("learning rate", _selected(curves, ("learning_rate", "lr"))),
    ]
    drawn = [(title, lines) for title, lines in panels if lines]
    if not drawn:
        return None
    columns = min(2, len(drawn))
    rows = -(-len(drawn) // columns)
    figure = new_figure(6 * columns, 3.6 * rows)
    last = max(steps[-1] for _, lines in drawn for steps, _ in lines.values())
    for position, (title, lines) in enumerate(drawn, start=1):
        axes = figure.add_subplot(rows, columns, position)
        _draw(
            axes,
            lines,
            noisy=title == "loss",
            least_top=_LEAST_AP if "AP" in title else 0,
        )
        _describe(axes, title, last, legend=len(lines) > 1 or title == "AP of each class")
    return save_figure(figure, picture)


def read_curves(metrics_file: Path) -> dict[str, Curve]:
    """The steps and values of each column, without cells that hold no finite number."""
    if not metrics_file.is_file():
        return {}
    curves: dict[str, Curve] = {}
    with metrics_file.open(newline="", encoding="utf-8", errors="replace") as file:
        for number, row in enumerate(csv.DictReader(file)):
            step = _number(row.get("step"))
            step = float(number) if math.isnan(step) else step
            for name, cell in row.items():
                value = _number(cell)
                if name and name not in _NO_CURVES and not math.isnan(value):
                    steps, values = curves.setdefault(name, ([], []))
                    steps.append(step)
                    values.append(value)
    return curves


def smoothed(values: Sequence[float]) -> list[float]:
    """A centred moving average over a twentieth of the curve, shorter at both ends."""
    reach = len(values) // 40
    sums = [0.0]
    for value in values:
        sums.append(sums[-1] + value)
    ends = [(max(0, i - reach), min(len(values), i + reach + 1)) for i in range(len(values))]
    return [(sums[stop] - sums[start]) / (stop - start) for start, stop in ends]


def _number(cell: object) -> float:
    try:
        value = float(cell) if isinstance(cell, str) else math.nan
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _selected(curves: dict[str, Curve], names: Sequence[str]) -> dict[str, Curve]:
    return {name.removeprefix("val/"): curves[name] for name in names if name in curves}


def _named(curves: dict[str, Curve], total: str | None, prefix: str) -> dict[str, Curve]:
    """The total and the curves with a prefix; of many curves, the best and the worst."""
    selected = {} if total is None or total not in curves else {"total": curves[total]}
    parts = {name.removeprefix(prefix): c for name, c in curves.items() if name.startswith(prefix)}
    if len(parts) > _MOST_CLASSES:
        ranked = sorted(parts, key=lambda name: -parts[name][1][-1])
        best_and_worst = {*ranked[: _MOST_CLASSES // 2], *ranked[-_MOST_CLASSES // 2 :]}
        parts = {name: curve for name, curve in parts.items() if name in best_and_worst}
    return {**selected, **parts}


def _draw(axes: Axes, curves: dict[str, Curve], *, noisy: bool, least_top: float) -> None:
    """Draw lines from 0 on; noisy ones are faint, with their moving average on top."""
    for position, (name, (steps, values)) in enumerate(curves.items()):
        colour = line_colour(position)
        many = len(values) > _MOST_DOTS
        line = values
        if noisy and many:
            axes.plot(steps, values, color=colour, linewidth=0.8, alpha=0.3)
            line = smoothed(values)
        dot = "" if many else "o"
        axes.plot(
            steps, line, color=colour, label=as_text(name), linewidth=1.8, marker=dot, markersize=3
        )
    values = sorted(value for _, curve in curves.values() for value in curve)
    if values[0] >= 0 and values[-1] > 0:
        # Cut off a very high initial loss, so that the rest of the curve is visible.
        usual = 2 * values[int(0.98 * (len(values) - 1))] if noisy else values[-1]
        top = max(min(values[-1], usual), least_top)
        axes.set_ylim(0, 1.05 * top if top > 0 else None)


def _describe(axes: Axes, title: str, last: float, *, legend: bool) -> None:
    describe(axes, title, "step")
    if last > 0:
        axes.set_xlim(0, 1.02 * last)
    if legend:
        axes.legend(fontsize=8, frameon=False)
