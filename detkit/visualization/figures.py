"""Shared by all plots: the canvas, the axes, the file, names as text.

matplotlib is imported when the first figure is made, because most programs that load a detector or
evaluate one draw none.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from detkit.text import shortened
from detkit.visualization.colours import class_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LONGEST_NAME = 24
_DOTS = 120  # per inch


def new_figure(width: float, height: float) -> Figure:
    """A white figure of a size in inches, 120 pixels each."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, picture: Path) -> Path:
    """Write a PNG whose bytes depend only on the drawing; return its path."""
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=_DOTS, format="png", metadata={"Software": None})
    return picture


def describe(axes: Axes, title: str, horizontal: str, vertical: str = "") -> None:
    """Set title and axis labels, with a faint grid and without a frame."""
    axes.set_title(title, loc="left", fontsize=11)
    axes.set_xlabel(horizontal, fontsize=9)
    axes.set_ylabel(vertical, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def line_colour(position: int) -> tuple[float, float, float]:
    """The colour of a class in matplotlib's format."""
    red, green, blue = class_colour(position)
    return red / 255, green / 255, blue / 255


def as_text(name: str) -> str:
    """A name that matplotlib shows literally: no `$` formula, no legend entry hidden by `_`."""
    text = shortened(name, _LONGEST_NAME).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text
