"""The cosine schedule."""

from __future__ import annotations

import math

from detkit.registry import Fraction, NonNegativeInt, register
from detkit.schedules.warmup import warmup, warmup_length


@register("scheduler", "cosine")
class Cosine:
    """Half a cosine wave from the full learning rate down to its end, after a linear warm-up.

    The last step still moves the weights: the wave would reach its end one step later.

    Paper: SGDR: Stochastic Gradient Descent with Warm Restarts (Loshchilov and Hutter, 2017),
        https://arxiv.org/abs/1608.03983

    Args:
        warmup_steps: Optimizer steps of the warm-up, at most a tenth of the training; 0 has none.
        warmup_factor: Factor of the learning rate at the first step of the warm-up.
        final_factor: Factor of the learning rate at the end.
    """

    def __init__(
        self,
        *,
        warmup_steps: NonNegativeInt = 500,
        warmup_factor: Fraction = 0.001,
        final_factor: Fraction = 0.0,
    ) -> None:
        self.warmup_steps = warmup_steps
        self.warmup_factor = warmup_factor
        self.final_factor = final_factor

    def __call__(self, step: int, total_steps: int) -> float:
        """The factor of a step."""
        start = warmup_length(total_steps, self.warmup_steps)
        if step < start:
            return warmup(step, total_steps, self.warmup_steps, self.warmup_factor)
        wave = (1 + math.cos(math.pi * (step - start) / (total_steps - start))) / 2
        return self.final_factor + (1 - self.final_factor) * wave
