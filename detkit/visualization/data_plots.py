"""A picture of the statistics of a data set, in six panels."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from detkit.text import counted, shortened
from detkit.visualization.figures import describe, line_colour

Numbers = NDArray[np.float64]
_MOST_CLASSES = 20
_LONGEST_NAME = 22
_MAP = 24  # cells per side of the map of positions
_BINS = 40
_LARGEST_DOT = 220.0
_MUCH = 30  # ratio of the most to the least common class above which the axis is logarithmic


@dataclass(frozen=True)
class SplitMeasures:
    """Statistics of one split. N images, M objects.

    Attributes:
        name: Name of the split.
        class_counts: Number of objects by class name.
        image_sizes: (N, 2) heights and widths.
        objects_per_image: (N,) numbers of objects.
        seen: (M,) square roots of box areas as the detector sees them.
        ratios: (M,) width / height.
        centres: (M, 2) x and y relative to the image size.
    """

    name: str
    class_counts: dict[str, int]
    image_sizes: NDArray[np.int32]
    objects_per_image: NDArray[np.int64]
    seen: Numbers
    ratios: Numbers
    centres: Numbers


def plot_data(splits: Sequence[SplitMeasures], strides: Sequence[int], picture: Path) -> Path:
    """Plot classes, objects per image, image sizes, box sizes, ratios and positions as PNG."""
    figure = Figure(figsize=(16, 9), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 3).ravel()
    _classes(panels[0], splits)
    _histogram(
        panels[1],
        [(split.name, split.objects_per_image.astype(np.float64)) for split in splits],
        "objects of an image",
        "share of images",
    )
    _sizes(panels[2], splits)
    _octaves(
        panels[3],
        [(split.name, split.seen) for split in splits],
        "side of boxes as the detector sees them",
        "pixels; dotted: strides of the levels",
    )
    low, high = panels[3].get_xlim()
    for stride in strides:
        if low <= math.log2(stride) <= high:
            panels[3].axvline(math.log2(stride), color="black", linewidth=0.8, linestyle=":")
    _octaves(
        panels[4],
        [(split.name, split.ratios) for split in splits],
        "width / height of boxes",
        "",
    )
    _positions(figure, panels[5], splits)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=110, format="png", metadata={"Software": None})
    return picture


def _classes(axes: Axes, splits: Sequence[SplitMeasures]) -> None:
    """Grouped bars, the most common class on top."""
    totals: Counter[str] = Counter()
    for split in splits:
        totals.update(split.class_counts)
    names = [name for name, _ in totals.most_common(_MOST_CLASSES)]
    positions = np.arange(len(names))[::-1]
    height = 0.8 / max(len(splits), 1)
    for position, split in enumerate(splits):
        values = [split.class_counts.get(name, 0) for name in names]
        offset = (len(splits) - 1) / 2 - position
        axes.barh(positions + offset * height, values, height, color=line_colour(position))
    labels = [shortened(name, _LONGEST_NAME) for name in names]
    axes.set_yticks(positions, labels)
    counts = [count for count in totals.values() if count]
    if counts and max(counts) > _MUCH * min(counts):
        axes.set_xscale("log")
    else:
        axes.xaxis.set_major_locator(_whole_numbers())
    omitted = len(totals) - len(names)
    title = "objects of each class" + (f" (the {len(names)} most common)" if omitted else "")
    _describe(axes, title, "objects", "")
    axes.legend([split.name for split in splits], fontsize=8, frameon=False)


def _histogram(axes: Axes, series: Sequence[tuple[str, Numbers]], title: str, y: str) -> None:
    """Shares of whole numbers; if there are few values, each has a bar."""
    most = max((float(values.max()) for _, values in series if len(values)), default=1.0)
    width = max(1, math.ceil((most + 1) / _BINS))
    borders = np.arange(0, most + width + 1, width) - 0.5
    _steps(axes, series, borders)
    axes.xaxis.set_major_locator(_whole_numbers())
    _describe(axes, title, "", y)


def _whole_numbers() -> MaxNLocator:
    """Ticks at whole numbers."""
    return MaxNLocator("auto", integer=True, min_n_ticks=1)


def _octaves(axes: Axes, series: Sequence[tuple[str, Numbers]], title: str, x: str) -> None:
    """Shares on a base-2 logarithmic axis with four bars per octave and plain labels."""
    logs = [(name, np.log2(values[values > 0])) for name, values in series]
    ends = [value for _, values in logs if len(values) for value in (values.min(), values.max())]
    low, high = (math.floor(min(ends)), math.floor(max(ends)) + 1) if ends else (0, 1)
    _steps(axes, logs, np.arange(low, high + 0.25, 0.25))
    ticks = range(low, high + 1)
    axes.set_xticks(list(ticks), [f"{2**t}" if t >= 0 else f"1/{2**-t}" for t in ticks])
    _describe(axes, title, x, "share of boxes")


def _steps(axes: Axes, series: Sequence[tuple[str, Numbers]], borders: Numbers) -> None:
    for position, (name, values) in enumerate(series):
        if len(values):
            shares = np.histogram(values, borders)[0] / len(values)
            axes.stairs(shares, borders, color=line_colour(position), label=name, linewidth=1.8)
            axes.stairs(shares, borders, color=line_colour(position), fill=True, alpha=0.12)
    axes.set_ylim(bottom=0)


def _sizes(axes: Axes, splits: Sequence[SplitMeasures]) -> None:
    """A dot for each image size; its area grows with the number of images."""
    totals = [Counter(map(tuple, split.image_sizes.tolist())) for split in splits]
    most = max((max(counts.values()) for counts in totals if counts), default=1)
    for position, counts in enumerate(totals):
        heights, widths = zip(*counts, strict=True) if counts else ((), ())
        area = [8 + _LARGEST_DOT * count / most for count in counts.values()]
        axes.scatter(
            widths,
            heights,
            s=area,
            facecolors="none",
            edgecolors=[line_colour(position)],
            linewidths=1.6,
        )
    sizes = [size for counts in totals for size in counts]
    axes.set_xlim(0, 1.15 * max((width for _, width in sizes), default=1))
    axes.set_ylim(0, 1.15 * max((height for height, _ in sizes), default=1))
    distinct = len(set().union(*totals))
    sizes_text = "one size" if distinct == 1 else counted(distinct, "size")
    _describe(axes, f"images: {sizes_text}", "width", "height")


def _positions(figure: Figure, axes: Axes, splits: Sequence[SplitMeasures]) -> None:
    """A map of the box centres within their images."""
    centres = np.concatenate([np.zeros((0, 2)), *(split.centres for split in splits)])
    counts, _, _ = np.histogram2d(centres[:, 1], centres[:, 0], bins=_MAP, range=[[0, 1], [0, 1]])
    image = axes.imshow(counts, extent=(0, 1, 1, 0), cmap="viridis", aspect="auto")
    figure.colorbar(image, ax=axes).ax.tick_params(labelsize=8)
    _describe(axes, "centres of boxes in their images", "share of the width", "share of the height")
    axes.grid(visible=False)


def _describe(axes: Axes, title: str, x: str, y: str) -> None:
    describe(axes, title, x, y)
    axes.set_axisbelow(True)
