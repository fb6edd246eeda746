"""Pictures of effective receptive fields."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detkit.visualization.figures import line_colour, new_figure, save_figure

_LEAST_SHARE = 1e-4  # of the strongest pixel that is drawn


def plot_effective_field(
    influence: NDArray[np.float64],
    *,
    title: str,
    theoretical: tuple[int, int] | None,
    effective: float,
    picture: Path,
) -> Path:
    """Draw the influence of each pixel, with the theoretical and the effective field around it.

    Args:
        influence: (H, W) 0 to 1.
        title: Heading.
        theoretical: Height and width of the theoretical field; None for the whole image.
        effective: Side of the effective field.
        picture: The PNG file to write.
    """
    from matplotlib.colors import LogNorm
    from matplotlib.patches import Rectangle

    height, width = influence.shape
    figure = new_figure(6.4, 5.4 * max(height / width, 0.5))
    axes = figure.add_subplot()
    scale = LogNorm(vmin=_LEAST_SHARE, vmax=1)
    drawn = axes.imshow(np.maximum(influence, _LEAST_SHARE), cmap="magma", norm=scale)
    row, column = _centre(influence)
    frames = [("effective", (effective, effective), "-")]
    if theoretical is not None:
        frames.append(("theoretical", theoretical, "--"))
    for position, (name, (rows, columns), style) in enumerate(frames):
        axes.add_patch(
            Rectangle(
                (column - columns / 2, row - rows / 2),
                columns,
                rows,
                fill=False,
                linestyle=style,
                linewidth=1.4,
                edgecolor=line_colour(4 if position == 0 else 2),
                label=f"{name} {round(rows)} x {round(columns)}",
            )
        )
    axes.set_xlim(-0.5, width - 0.5)
    axes.set_ylim(height - 0.5, -0.5)
    axes.set_title(title, loc="left", fontsize=11)
    axes.tick_params(labelsize=8)
    axes.legend(fontsize=8, loc="upper right")
    figure.colorbar(drawn, ax=axes, shrink=0.85, label="influence on the unit in the middle")
    return save_figure(figure, picture)


def _centre(influence: NDArray[np.float64]) -> tuple[float, float]:
    """The centre of mass."""
    total = max(float(influence.sum()), np.finfo(np.float64).tiny)
    rows, columns = np.indices(influence.shape)
    return float((rows * influence).sum() / total), float((columns * influence).sum() / total)
