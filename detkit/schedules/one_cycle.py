"""The one-cycle schedule."""

from __future__ import annotations

import math

from detkit.registry import Fraction, register


@register("scheduler", "one_cycle")
class OneCycle:
    """One rise to the full learning rate and one longer fall, both half cosine waves.

    The rise takes the place of a warm-up. Momentum stays constant; the paper varies it, too.

    Paper: Super-Convergence (Smith and Topin, 2018), https://arxiv.org/abs/1708.07120

    Args:
        rise: Share of the training until the full learning rate.
        initial_factor: Factor of the learning rate at the first step.
        final_factor: Factor of the learning rate at the end.
    """

    def __init__(
        self,
        *,
        rise: Fraction = 0.3,
        initial_factor: Fraction = 0.04,
        final_factor: Fraction = 0.000004,
    ) -> None:
        self.rise = rise
        self.initial_factor = initial_factor
        self.final_factor = final_factor

    def __call__(self, step: int, total_steps: int) -> float:
        """The factor of a step."""
        peak = min(round(self.rise * total_steps), total_steps - 1)
        if step < peak:
            return _wave(self.initial_factor, 1.0, step / peak)
        return _wave(1.0, self.final_factor, (step - peak) / (total_steps - peak))


def _wave(start: float, end: float, progress: float) -> float:
    """A value on half a cosine wave from start to end."""
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
