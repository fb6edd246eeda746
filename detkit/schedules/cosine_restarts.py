"""The cosine schedule with restarts."""

from __future__ import annotations

import math

from detkit.registry import Fraction, NonNegativeInt, PositiveFloat, PositiveInt, register
from detkit.schedules.warmup import progress, warmup


@register("scheduler", "cosine_restarts")
class CosineRestarts:
    """Several half cosine waves, each from the full learning rate down, after a linear warm-up.

    Paper: SGDR: Stochastic Gradient Descent with Warm Restarts (Loshchilov and Hutter, 2017),
        https://arxiv.org/abs/1608.03983

    Args:
        cycles: Number of waves.
        growth: Length of a wave relative to the one before it.
        final_factor: Factor of the learning rate at the end of each wave.
        warmup_steps: Optimizer steps of the warm-up, at most a tenth of the training; 0 has none.
        warmup_factor: Factor of the learning rate at the first step of the warm-up.
    """

    def __init__(
        self,
        *,
        cycles: PositiveInt = 3,
        growth: PositiveFloat = 2.0,
        final_factor: Fraction = 0.0,
        warmup_steps: NonNegativeInt = 500,
        warmup_factor: Fraction = 0.001,
    ) -> None:
        self.cycles = cycles
        self.growth = growth
        self.final_factor = final_factor
        self.warmup_steps = warmup_steps
        self.warmup_factor = warmup_factor

    def __call__(self, step: int, total_steps: int) -> float:
        """The factor of a step."""
        rising = warmup(step, total_steps, self.warmup_steps, self.warmup_factor)
        lengths = [self.growth**cycle for cycle in range(self.cycles)]
        position = progress(step, total_steps, self.warmup_steps) * sum(lengths)
        for length in lengths[:-1]:
            if position < length:
                break
            position -= length
        else:
            length = lengths[-1]
        wave = (1 + math.cos(math.pi * position / length)) / 2
        return rising * (self.final_factor + (1 - self.final_factor) * wave)
