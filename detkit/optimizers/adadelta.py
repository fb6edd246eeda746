"""Adadelta."""

from __future__ import annotations

import torch

from detkit.optimizers.parameter_groups import BelowOne, LayerDecay
from detkit.optimizers.torch_optimizer import TorchOptimizer
from detkit.registry import NonNegativeFloat, PositiveFloat, PositiveInt, register


@register("optimizer", "adadelta")
def adadelta(
    *,
    learning_rate: PositiveFloat = 1.0,
    rho: BelowOne = 0.9,
    eps: PositiveFloat = 1e-6,
    weight_decay: NonNegativeFloat = 0.0,
    backbone_factor: NonNegativeFloat = 1.0,
    layer_decay: LayerDecay = 1.0,
    reference_batch: PositiveInt | None = None,
) -> TorchOptimizer:
    """Adadelta: steps in the units of the weights, so that a learning rate of 1 fits.

    Paper: ADADELTA: An Adaptive Learning Rate Method (Zeiler, 2012),
        https://arxiv.org/abs/1212.5701

    Args:
        learning_rate: The rate that the schedule's factors multiply.
        rho: Decay of the averages of squared gradients and squared updates.
        eps: Added to the denominator.
        weight_decay: L2 penalty; none for norm layers, biases, and parameters that a network
            exempts, such as position biases and layer scales.
        backbone_factor: Factor of the learning rate of the backbone's parameters.
        layer_decay: Factor of the learning rate from each block of the backbone to the previous
            one; 1 gives all blocks one rate, 0.75 is common for pretrained transformers.
        reference_batch: If set, the learning rate applies to this many images per step, and is
            scaled in proportion to the actual images per step over all devices.
    """
    return TorchOptimizer(
        torch.optim.Adadelta,
        {"rho": rho, "eps": eps},
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        backbone_factor=backbone_factor,
        layer_decay=layer_decay,
        reference_batch=reference_batch,
    )
