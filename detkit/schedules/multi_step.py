"""The step schedule."""

from __future__ import annotations

from detkit.registry import Fraction, NonNegativeInt, register
from detkit.schedules.warmup import warmup


@register("scheduler", "multi_step")
class MultiStep:
    """The full learning rate, divided at a few points of the training, after a linear warm-up.

    Args:
        milestones: Where the rate drops, as fractions of the training; 8/12 and 11/12 are the
            epochs 8 and 11 of 12 that most published detectors use.
        gamma: Factor of each drop.
        warmup_steps: Optimizer steps of the warm-up, at most a tenth of the training; 0 has none.
        warmup_factor: Factor of the learning rate at the first step of the warm-up.
    """

    def __init__(
        self,
        *,
        milestones: tuple[Fraction, ...] = (8 / 12, 11 / 12),
        gamma: Fraction = 0.1,
        warmup_steps: NonNegativeInt = 500,
        warmup_factor: Fraction = 0.001,
    ) -> None:
        self.milestones = milestones
        self.gamma = gamma
        self.warmup_steps = warmup_steps
        self.warmup_factor = warmup_factor

    def __call__(self, step: int, total_steps: int) -> float:
        """The factor of a step."""
        passed = sum(step >= round(milestone * total_steps) for milestone in self.milestones)
        rising = warmup(step, total_steps, self.warmup_steps, self.warmup_factor)
        return rising * self.gamma**passed
