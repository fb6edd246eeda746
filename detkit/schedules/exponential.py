"""The exponential schedule."""

from __future__ import annotations

from detkit.registry import Fraction, NonNegativeInt, PositiveFloat, register
from detkit.schedules.warmup import progress, warmup


@register("scheduler", "exponential")
class Exponential:
    """Multiplies the learning rate by the same factor at each step, after a linear warm-up.

    Args:
        final_factor: Factor of the learning rate at the end of the training.
        warmup_steps: Optimizer steps of the warm-up, at most a tenth of the training; 0 has none.
        warmup_factor: Factor of the learning rate at the first step of the warm-up.
    """

    def __init__(
        self,
        *,
        final_factor: PositiveFloat = 0.01,
        warmup_steps: NonNegativeInt = 500,
        warmup_factor: Fraction = 0.001,
    ) -> None:
        self.final_factor = final_factor
        self.warmup_steps = warmup_steps
        self.warmup_factor = warmup_factor

    def __call__(self, step: int, total_steps: int) -> float:
        """The factor of a step."""
        rising = warmup(step, total_steps, self.warmup_steps, self.warmup_factor)
        done = progress(step, total_steps, self.warmup_steps)
        decayed: float = self.final_factor**done
        return rising * decayed
