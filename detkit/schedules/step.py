"""The step schedule."""

from __future__ import annotations

from detkit.registry import Fraction, NonNegativeInt, PositiveInt, register
from detkit.schedules.warmup import warmup


@register("scheduler", "step")
class Step:
    """Divides the learning rate at regular intervals, after a linear warm-up.

    `multi_step` takes points at any distance.

    Args:
        drops: Number of drops; they divide the training into equal parts.
        gamma: Factor of each drop.
        warmup_steps: Optimizer steps of the warm-up, at most a tenth of the training; 0 has none.
        warmup_factor: Factor of the learning rate at the first step of the warm-up.
    """

    def __init__(
        self,
        *,
        drops: PositiveInt = 2,
        gamma: Fraction = 0.1,
        warmup_steps: NonNegativeInt = 500,
        warmup_factor: Fraction = 0.001,
    ) -> None:
        self.drops = drops
        self.gamma = gamma
        self.warmup_steps = warmup_steps
        self.warmup_factor = warmup_factor

    def __call__(self, step: int, total_steps: int) -> float:
        """The factor of a step."""
        rising = warmup(step, total_steps, self.warmup_steps, self.warmup_factor)
        passed = step * (self.drops + 1) // total_steps
        dropped: float = self.gamma**passed
        return rising * dropped
