"""The plot of `growth.py`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from detkit.visualization.figures import describe, line_colour, new_figure

Row = dict[str, Any]
_MEASURES = {"seconds": "processor seconds", "mib": "MiB beyond those before"}
_NAMES = {
    "objects": "objects per image",
    "classes": "classes",
    "side": "side of the image in pixels",
    "batch": "images in a batch",
}


def plot_growth(rows: Sequence[Row], picture: Path) -> None:
    """Plot time and memory against each axis, both logarithmic, as SVG or PNG by suffix."""
    axes_names = list(dict.fromkeys(row["axis"] for row in rows))
    figure = new_figure(3.6 * len(axes_names), 6.6)
    panels = figure.subplots(len(_MEASURES), len(axes_names), sharey="row")
    for line, (measure, vertical) in zip(panels, _MEASURES.items(), strict=True):
        for axes, name in zip(line, axes_names, strict=True):
            chosen = [row for row in rows if row["axis"] == name]
            _draw(axes, chosen, measure)
            title = "time" if measure == "seconds" else "memory"
            left = vertical if name == axes_names[0] else ""
            describe(axes, f"{title} by {name}", _NAMES[name], left)
        found = [value for row in rows for value in row[measure]]
        line[0].set_ylim(0.7 * min(found), 1.4 * max(found))
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=len(labels), fontsize=9, frameon=False
    )
    picture.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"svg.hashsalt": "growth"}):
        figure.savefig(picture, metadata={"Date": None} if picture.suffix == ".svg" else None)


def _draw(axes: Axes, rows: Sequence[Row], measure: str) -> None:
    """A line for each detector, and a dotted linear one through its last point."""
    values = rows[0]["values"]
    for position, row in enumerate(rows):
        colour = line_colour(position)
        axes.plot(
            values, row[measure], color=colour, marker="o", markersize=4, label=row["detector"]
        )
    power = 2 if rows[0]["axis"] == "side" else 1
    for position, row in enumerate(rows):
        steps = [value for value in values if value > 0]
        guide = [row[measure][-1] * (value / values[-1]) ** power for value in steps]
        axes.plot(
            steps,
            guide,
            color=line_colour(position),
            linestyle=":",
            linewidth=1,
            label="linear, through the last point" if position == len(rows) - 1 else None,
        )
    axes.set_xscale("symlog", linthresh=1, linscale=0.4) if 0 in values else axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(FixedLocator(values))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
