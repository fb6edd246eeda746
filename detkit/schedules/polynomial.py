"""The polynomial schedule."""

from __future__ import annotations

from detkit.registry import Fraction, NonNegativeInt, PositiveFloat, register
from detkit.schedules.warmup import progress, warmup


@register("scheduler", "polynomial")
class Polynomial:
    """Lowers the learning rate along a power of the remaining training, after a linear warm-up.

    Args:
        power: 1 is a straight line; above 1, the rate falls faster at first.
        final_factor: Factor of the learning rate at the end.
        warmup_steps: Optimizer steps of the warm-up, at most a tenth of the training; 0 has none.
        warmup_factor: Factor of the learning rate at the first step of the warm-up.
    """

    def __init__(
        self,
        *,
        power: PositiveFloat = 1.0,
        final_factor: Fraction = 0.0,
        warmup_steps: NonNegativeInt = 500,
        warmup_factor: Fraction = 0.001,
    ) -> None:
        self.power = power
        self.final_factor = final_factor
        self.warmup_steps = warmup_steps
        self.warmup_factor = warmup_factor

    def __call__(self, step: int, total_steps: int) -> float:
        """The factor of a step."""
        rising = warmup(step, total_steps, self.warmup_steps, self.warmup_factor)
        remaining: float = (1 - progress(step, total_steps, self.warmup_steps)) ** self.power
        return rising * (self.final_factor + (1 - self.final_factor) * remaining)
