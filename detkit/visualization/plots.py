"""Curves of a run as pictures."""

from __future__ import annotations

import csv
import math
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

Points = tuple[list[float], list[float]]
_SMOOTHING = 0.9  # of the exponential average drawn over a noisy loss


def plot_curves(metrics: Path, output: Path) -> Path:
    """Loss parts, AP and learning rate of a `metrics.csv` over steps, as one PNG."""
    curves = read_curves(metrics)
    figure = Figure(figsize=(13, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    losses, scores, rates = figure.subplots(1, 3)
    for name in sorted(name for name in curves if name == "loss" or name.startswith("loss/")):
        _plot_smoothed(losses, curves[name], name)
    for name in ("val/AP", "val/AP50", "val/AP75"):
        if name in curves:
            scores.plot(*curves[name], marker="o", markersize=3, label=name.removeprefix("val/"))
    if "learning_rate" in curves:
        rates.plot(*curves["learning_rate"], color="tab:gray", label="learning rate")
    for axes, title in (
        (losses, "training loss"),
        (scores, "validation"),
        (rates, "learning rate"),
    ):
        axes.set(title=title, xlabel="step")
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False)
    losses.set_ylim(bottom=0)
    scores.set_ylim(0, 1)
    figure.savefig(output, dpi=110)
    return output


def read_curves(metrics: Path) -> dict[str, Points]:
    """Each column of a metrics file as steps and finite values; cells may be empty."""
    curves: dict[str, Points] = {}
    with metrics.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for name, text in row.items():
                value = _number(text)
                step = _number(row.get("step"))
                if name not in ("step", "epoch") and value is not None and step is not None:
                    steps, values = curves.setdefault(name, ([], []))
                    steps.append(step)
                    values.append(value)
    return curves


def _plot_smoothed(axes: Axes, points: Points, name: str) -> None:
    steps, values = points
    (line,) = axes.plot(steps, values, alpha=0.25, linewidth=0.8)
    average, smooth = values[0], []
    for value in values:
        average = _SMOOTHING * average + (1 - _SMOOTHING) * value
        smooth.append(average)
    axes.plot(steps, smooth, color=line.get_color(), label=name.removeprefix("loss/"))


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
