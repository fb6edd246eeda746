"""Give an optimizer of torch.optim the parameter groups that all optimizers share.

`fused` and `foreach` stay at PyTorch's own choice (foreach on a GPU): Lightning refuses to clip the
gradients of a fused optimizer in 16-bit training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from detkit.optimizers.parameter_groups import parameter_groups, scaled_rate


class TorchOptimizer:
    """Builds an optimizer of torch.optim for a model's trainable parameters."""

    def __init__(
        self,
        build: Callable[..., torch.optim.Optimizer],
        arguments: Mapping[str, Any],
        *,
        learning_rate: float,
        weight_decay: float,
        backbone_factor: float,
        layer_decay: float,
        reference_batch: int | None,
    ) -> None:
        """Store the settings.

        Args:
            build: A class of torch.optim.
            arguments: Its arguments besides the parameter groups.
            learning_rate: The rate that the schedule's factors multiply.
            weight_decay: Decay of all parameters that are not exempt.
            backbone_factor: Factor of the learning rate of the backbone's parameters.
            layer_decay: Factor of the rate from each block of the backbone to the previous one.
            reference_batch: Images per step that the learning rate applies to, if set.
        """
        self.build = build
        self.arguments = arguments
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.backbone_factor = backbone_factor
        self.layer_decay = layer_decay
        self.reference_batch = reference_batch

    def __call__(self, model: nn.Module, total_batch: int) -> torch.optim.Optimizer:
        """The optimizer of a model's trainable parameters."""
        rate = scaled_rate(self.learning_rate, total_batch, self.reference_batch)
        groups = parameter_groups(
            model, rate, self.weight_decay, self.backbone_factor, self.layer_decay
        )
        return self.build(groups, **self.arguments)
