"""A confusion matrix as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from detkit.structures.analysis import Analysis, Confusion
from detkit.visualization.figures import as_text, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_CLASSES = 30  # more would be illegible
_FEW = 14  # rows: with more, zeros are left out and text is smaller
_TEXT, _SMALL_TEXT = 9, 7
_LONG = 10_000  # counts from here do not fit a small cell
_DARK = 0.65  # share above which text is white


def plot_confusion(analysis: Analysis, picture: Path) -> Path:
    """Row shares on the left, counts on the right; of many classes the most confused."""
    counts, names = most_confused(analysis.confusion.counts, analysis.class_names)
    table = Confusion(analysis.confusion.iou_threshold, analysis.confusion.score_threshold, counts)
    side = 2.6 + 0.32 * max(8, len(names))
    figure = new_figure(2 * side, side + 0.9)
    rows = [*names, "background\n(no object)"]
    columns = [*names, "background\n(missed)"]
    shares = table.shares()
    for position, title in enumerate(("share of each row", "counts"), start=1):
        axes = figure.add_subplot(1, 2, position)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        size = _TEXT if len(names) <= _FEW // 2 else _SMALL_TEXT
        axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=size)
        axes.set_yticks(range(len(rows)), rows, fontsize=size)
        axes.set_xlabel("detected as", fontsize=9)
        axes.set_ylabel("object", fontsize=9)
        axes.set_title(title, loc="left", fontsize=11)
        axes.set_xticks(np.arange(len(columns)) - 0.5, minor=True)
        axes.set_yticks(np.arange(len(rows)) - 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1)
        axes.tick_params(which="both", length=0)
        axes.spines[:].set_visible(False)
        _write_numbers(axes, shares, counts if title == "counts" else None, size)
    figure.suptitle(
        f"Objects and what they were detected as: IoU {table.iou_threshold:.2f}, "
        f"score {table.score_threshold:.2f} or higher",
        fontsize=11,
    )
    return save_figure(figure, picture)


def _write_numbers(
    axes: Axes, shares: NDArray[np.float64], counts: NDArray[np.int64] | None, size: int
) -> None:
    for (row, column), share in np.ndenumerate(shares):
        nothing = row == column == len(shares) - 1  # background detected as background
        text = f"{share:.2f}" if counts is None else _short(int(counts[row, column]), size)
        if nothing or (text in ("0", "0.00") and len(shares) > _FEW):
            continue
        colour = "white" if share > _DARK else ("0.7" if share == 0 else "0.1")
        number = axes.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)
        number.set_in_layout(False)  # it fits its cell; layout of a thousand texts takes seconds


def _short(count: int, size: int) -> str:
    """A count, rounded to thousands if it would not fit a cell of small text."""
    return f"{round(count / 1000):,}k" if count >= _LONG and size == _SMALL_TEXT else f"{count:,}"


def most_confused(
    counts: NDArray[np.int64], names: list[str]
) -> tuple[NDArray[np.int64], list[str]]:
    """The classes with most errors, in label order, and all remaining classes as one."""
    texts = [as_text(name) for name in names]
    if len(names) <= _MOST_CLASSES:
        return counts, texts
    wrong = counts.sum(axis=0) + counts.sum(axis=1) - 2 * counts.diagonal()
    selected = np.sort(np.argsort(-wrong[:-1], kind="stable")[: _MOST_CLASSES - 1])
    positions = np.full(len(counts), len(selected))
    positions[selected] = np.arange(len(selected))
    positions[-1] = len(selected) + 1
    merged = np.zeros((len(selected) + 2, len(selected) + 2), np.int64)
    np.add.at(merged, (positions[:, None], positions[None, :]), counts)
    remainder = f"{len(names) - len(selected)} other classes"
    return merged, [*(texts[label] for label in selected), remainder]
