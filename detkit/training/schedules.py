"""Learning-rate schedules: the factor of each optimizer step, warm-up included.

Warm-up lasts `warmup_steps`, but never longer than a tenth of the training: the defaults stem from
runs of tens of thousands of steps, and would eat a short one whole.
"""

from __future__ import annotations

import math

from detkit.registry import Fraction, NonNegativeInt, register


def warmup_length(total_steps: int, warmup_steps: int) -> int:
    """How many steps the warm-up takes: the asked number, at most a tenth of all."""
    return min(warmup_steps, total_steps // 10)


def warmup(step: int, total_steps: int, warmup_steps: int, warmup_factor: float) -> float:
    """A line from `warmup_factor` at step 0 to 1 at the first step after the warm-up."""
    length = warmup_length(total_steps, warmup_steps)
    if step >= length:
        return 1.0
    return warmup_factor + (1 - warmup_factor) * step / length


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
