"""Adamax."""

from __future__ import annotations

import torch

from detkit.optimizers.parameter_groups import BelowOne, LayerDecay
from detkit.optimizers.torch_optimizer import TorchOptimizer
from detkit.registry import NonNegativeFloat, PositiveFloat, PositiveInt, register


@register("optimizer", "adamax")
def adamax(
    *,
    learning_rate: PositiveFloat = 0.0002,
    betas: tuple[BelowOne, BelowOne] = (0.9, 0.999),
    eps: PositiveFloat = 1e-8,
    weight_decay: NonNegativeFloat = 0.0,
    backbone_factor: NonNegativeFloat = 1.0,
    layer_decay: LayerDecay = 1.0,
    reference_batch: PositiveInt | None = None,
) -> TorchOptimizer:
    """Adamax: Adam that divides by the largest recent gradient.

    Paper: Adam: A Method for Stochastic Optimization (Kingma and Ba, 2015), section 7,
        https://arxiv.org/abs/1412.6980

    Args:
        learning_rate: The rate that the schedule's factors multiply.
        betas: Decay of the averages of the gradient and of its square.
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
        torch.optim.Adamax,
        {"betas": betas, "eps": eps},
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        backbone_factor=backbone_factor,
        layer_decay=layer_decay,
        reference_batch=reference_batch,
    )
