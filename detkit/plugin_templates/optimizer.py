"""An optimizer: updates the parameters."""

from __future__ import annotations

import torch
from torch import nn

from detkit import register
from detkit.registry import NonNegativeFloat, PositiveFloat


@register("optimizer", "my_optimizer")
class MyOptimizer:
    """RAdam with decoupled weight decay, except on biases and norm layers.

    Args:
        learning_rate: The base rate; the schedule multiplies it.
        weight_decay: Each step shrinks weights by this factor times the learning rate.
    """

    def __init__(
        self, *, learning_rate: PositiveFloat = 1e-3, weight_decay: NonNegativeFloat = 0.05
    ) -> None:
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay

    def __call__(self, model: nn.Module, total_batch: int) -> torch.optim.Optimizer:
        """Create the optimizer; `total_batch` is the number of images per step over all devices."""
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        plain = [parameter for parameter in trained if parameter.ndim <= 1]
        decayed = [parameter for parameter in trained if parameter.ndim > 1]
        groups = [
            {"params": decayed, "weight_decay": self.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ]
        return torch.optim.RAdam(
            [group for group in groups if group["params"]],
            lr=self.learning_rate,
            decoupled_weight_decay=True,
        )
