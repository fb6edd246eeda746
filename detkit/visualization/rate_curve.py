"""Plot the loss over the learning rate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from detkit.visualization.figures import describe, line_colour, new_figure, save_figure


def plot_rate_curve(
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    suggested: int | None,
    picture: Path,
) -> Path:
    """Draw the loss of each step over its learning rate as PNG, and mark the suggestion.

    Args:
        rates: The learning rate of each step.
        losses: The loss of each step.
        smoothed: The smoothed losses.
        suggested: The step whose rate is suggested, or None.
        picture: The file to write.
    """
    figure = new_figure(7, 4)
    axes = figure.add_subplot()
    colour = line_colour(0)
    axes.plot(rates, losses, color=colour, linewidth=0.8, alpha=0.3, label="loss of a step")
    axes.plot(rates, smoothed, color=colour, linewidth=1.8, label="smoothed")
    if suggested is not None:
        axes.plot(
            rates[suggested],
            smoothed[suggested],
            color=line_colour(1),
            marker="o",
            linestyle="",
            label=f"suggestion: {rates[suggested]:.2g}",
        )
    axes.set_xscale("log")
    # Cut off the end of a diverging curve, so that the fall before it is visible.
    low, start = min(smoothed), smoothed[0]
    axes.set_ylim(low - 0.2 * (start - low) - 0.05 * low, start + 0.6 * (start - low) + 0.2 * start)
    describe(axes, "learning-rate range test", "optimizer.learning_rate", "loss")
    axes.legend(fontsize=8, frameon=False)
    return save_figure(figure, picture)
