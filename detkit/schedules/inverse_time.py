"""The inverse-time schedule."""

from __future__ import annotations

from detkit.registry import Fraction, NonNegativeFloat, NonNegativeInt, register
from detkit.schedules.warmup import progress, warmup


@register("scheduler", "inverse_time")
class InverseTime:
    """Divides the learning rate by 1 + decay * progress, after a linear warm-up.

    Args:
        decay: The rate ends at 1 / (1 + decay) of its start.
        warmup_steps: Optimizer steps of the warm-up, at most a tenth of the training; 0 has none.
        warmup_factor: Factor of the learning rate at the first step of the warm-up.
    """

    def __init__(
        self,
        *,
        decay: NonNegativeFloat = 99.0,
        warmup_steps: NonNegativeInt = 500,
        warmup_factor: Fraction = 0.001,
    ) -> None:
        self.decay = decay
        self.warmup_steps = warmup_steps
        self.warmup_factor = warmup_factor

    def __call__(self, step: int, total_steps: int) -> float:
        """The factor of a step."""
        rising = warmup(step, total_steps, self.warmup_steps, self.warmup_factor)
        return rising / (1 + self.decay * progress(step, total_steps, self.warmup_steps))
