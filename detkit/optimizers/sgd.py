"""Stochastic gradient descent.

`fused` and `foreach` stay at PyTorch's own choice (foreach on a GPU): Lightning refuses to clip the
gradients of a fused optimizer in 16-bit training.
"""

from __future__ import annotations

import torch
from torch import nn

from detkit.errors import UserError
from detkit.optimizers.parameter_groups import LayerDecay, parameter_groups, scaled_rate
from detkit.registry import Fraction, NonNegativeFloat, PositiveFloat, PositiveInt, register


@register("optimizer", "sgd")
class SGD:
    """Stochastic gradient descent with momentum: the usual choice for convolutional detectors.

    Args:
        learning_rate: The rate that the schedule's factors multiply.
        momentum: Share of the last update in the next.
        weight_decay: L2 penalty; none for norm layers, biases, and parameters that a network
            exempts, such as position biases and layer scales.
        nesterov: Look ahead by the momentum.
        backbone_factor: Factor of the learning rate of the backbone's parameters.
        layer_decay: Factor of the learning rate from each block of the backbone to the previous
            one; 1 gives all blocks one rate, 0.75 is common for pretrained transformers.
        reference_batch: If set, the learning rate applies to this many images per step, and is
            scaled in proportion to the actual images per step over all devices.
    """

    def __init__(
        self,
        *,
        learning_rate: PositiveFloat = 0.01,
        momentum: Fraction = 0.9,
        weight_decay: NonNegativeFloat = 1e-4,
        nesterov: bool = False,
        backbone_factor: NonNegativeFloat = 1.0,
        layer_decay: LayerDecay = 1.0,
        reference_batch: PositiveInt | None = None,
    ) -> None:
        if nesterov and momentum == 0:
            raise UserError(
                "optimizer 'sgd': nesterov needs a momentum above 0, got 0: set "
                "optimizer.momentum=0.9 or optimizer.nesterov=false."
            )
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.nesterov = nesterov
        self.backbone_factor = backbone_factor
        self.layer_decay = layer_decay
        self.reference_batch = reference_batch

    def __call__(self, model: nn.Module, total_batch: int) -> torch.optim.Optimizer:
        """The optimizer of a model's trainable parameters."""
        rate = scaled_rate(self.learning_rate, total_batch, self.reference_batch)
        groups = parameter_groups(
            model, rate, self.weight_decay, self.backbone_factor, self.layer_decay
        )
        return torch.optim.SGD(groups, momentum=self.momentum, nesterov=self.nesterov)
