"""The schedule that waits for the metric."""

from __future__ import annotations

import math
from collections.abc import Mapping

from detkit.errors import ConfigError
from detkit.registry import Fraction, NonNegativeFloat, NonNegativeInt, PositiveInt, register
from detkit.schedules.warmup import warmup


@register("scheduler", "plateau")
class Plateau:
    """Lowers the learning rate when validations stop improving, after a linear warm-up.

    All ranks compute the same metric, so they lower the rate together; a resumed run remembers
    the best value and the validations since.

    Args:
        gamma: Factor of each drop.
        patience: Validations in a row without improvement that cause a drop.
        minimum_improvement: How much higher than the best so far the number must be.
        smallest_factor: The learning rate does not fall below this factor.
        monitor: The number of the metric that must rise, such as AP or AP50.
        warmup_steps: Optimizer steps of the warm-up, at most a tenth of the training; 0 has none.
        warmup_factor: Factor of the learning rate at the first step of the warm-up.
    """

    def __init__(
        self,
        *,
        gamma: Fraction = 0.1,
        patience: PositiveInt = 5,
        minimum_improvement: NonNegativeFloat = 0.0,
        smallest_factor: Fraction = 0.001,
        monitor: str = "AP",
        warmup_steps: NonNegativeInt = 500,
        warmup_factor: Fraction = 0.001,
    ) -> None:
        self.gamma = gamma
        self.patience = patience
        self.minimum_improvement = minimum_improvement
        self.smallest_factor = smallest_factor
        self.monitor = monitor
        self.warmup_steps = warmup_steps
        self.warmup_factor = warmup_factor
        self.scale = 1.0
        self.best = -math.inf
        self.waited = 0

    def __call__(self, step: int, total_steps: int) -> float:
        """The factor of a step."""
        rising = warmup(step, total_steps, self.warmup_steps, self.warmup_factor)
        return rising * self.scale

    def after_validation(self, metrics: Mapping[str, float]) -> None:
        """Lower the rate if the number has not risen for `patience` validations.

        NaN counts as no improvement.

        Raises:
            ConfigError: The metric has no such number.
        """
        if self.monitor not in metrics:
            raise ConfigError(
                [
                    f"scheduler.monitor: the metric has no number '{self.monitor}'; choose one of "
                    f"{', '.join(metrics)}."
                ]
            )
        value = metrics[self.monitor]
        if value > self.best + self.minimum_improvement:
            self.best, self.waited = value, 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            self.scale, self.waited = max(self.scale * self.gamma, self.smallest_factor), 0

    def state_dict(self) -> dict[str, float]:
        """What a resumed run continues with."""
        return {"scale": self.scale, "best": self.best, "waited": self.waited}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        """Continue where `state_dict` was taken."""
        self.scale, self.best, self.waited = state["scale"], state["best"], int(state["waited"])
