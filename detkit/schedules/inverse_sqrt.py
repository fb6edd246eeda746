"""The inverse-square-root schedule."""

from __future__ import annotations

import math

from detkit.registry import Fraction, NonNegativeInt, PositiveInt, register
from detkit.schedules.warmup import warmup, warmup_length


@register("scheduler", "inverse_sqrt")
class InverseSquareRoot:
    """Divides the learning rate by the root of the number of steps, after a linear warm-up.

    With a warm-up of `timescale` steps, this is the schedule of the paper. Unlike the others, it
    does not depend on the length of the training.

    Paper: Attention Is All You Need (Vaswani et al., 2017), section 5.3,
        https://arxiv.org/abs/1706.03762

    Args:
        timescale: Three times as many steps after the warm-up halve the rate.
        warmup_steps: Optimizer steps of the warm-up, at most a tenth of the training; 0 has none.
        warmup_factor: Factor of the learning rate at the first step of the warm-up.
    """

    def __init__(
        self,
        *,
        timescale: PositiveInt = 500,
        warmup_steps: NonNegativeInt = 500,
        warmup_factor: Fraction = 0.001,
    ) -> None:
        self.timescale = timescale
        self.warmup_steps = warmup_steps
        self.warmup_factor = warmup_factor

    def __call__(self, step: int, total_steps: int) -> float:
        """The factor of a step."""
        rising = warmup(step, total_steps, self.warmup_steps, self.warmup_factor)
        after = max(step - warmup_length(total_steps, self.warmup_steps), 0)
        return rising * math.sqrt(self.timescale / (self.timescale + after))
