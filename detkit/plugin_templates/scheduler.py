"""A schedule: the learning rate over time."""

from __future__ import annotations

from detkit import register
from detkit.registry import Fraction, PositiveFloat


@register("scheduler", "my_scheduler")
class MyScheduler:
    """A linear warm-up, then a power of the remaining share of the training.

    Args:
        warmup: Share of the training for the warm-up.
        power: 1 decays linearly, 2 along a parabola.
    """

    def __init__(self, *, warmup: Fraction = 0.05, power: PositiveFloat = 1.0) -> None:
        self.warmup = warmup
        self.power = power

    def __call__(self, step: int, total_steps: int) -> float:
        """The factor on the learning rate at an optimizer step in 0..total_steps-1."""
        length = int(self.warmup * total_steps)
        if step < length:
            return (step + 1) / (length + 1)
        remaining = (total_steps - step) / (total_steps - length)
        return float(remaining**self.power)
