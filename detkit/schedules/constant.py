"""The constant schedule."""

from __future__ import annotations

from detkit.registry import Fraction, NonNegativeInt, register
from detkit.schedules.warmup import warmup


@register("scheduler", "constant")
class Constant:
    """The same learning rate throughout, after a linear warm-up.

    Args:
        warmup_steps: Optimizer steps of the warm-up, at most a tenth of the training; 0 has none.
        warmup_factor: Factor of the learning rate at the first step of the warm-up.
    """

    def __init__(
        self, *, warmup_steps: NonNegativeInt = 500, warmup_factor: Fraction = 0.001
    ) -> None:
        self.warmup_steps = warmup_steps
        self.warmup_factor = warmup_factor

    def __call__(self, step: int, total_steps: int) -> float:
        """The factor of a step."""
        return warmup(step, total_steps, self.warmup_steps, self.warmup_factor)
