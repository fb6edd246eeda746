"""NAdam."""

from __future__ import annotations

import torch

from detkit.optimizers.parameter_groups import BelowOne, LayerDecay
from detkit.optimizers.torch_optimizer import TorchOptimizer
from detkit.registry import NonNegativeFloat, PositiveFloat, PositiveInt, register


@register("optimizer", "nadam")
def nadam(
    *,
    learning_rate: PositiveFloat = 0.0001,
    betas: tuple[BelowOne, BelowOne] = (0.9, 0.999),
    eps: PositiveFloat = 1e-8,
    momentum_decay: NonNegativeFloat = 0.004,
    weight_decay: NonNegativeFloat = 0.0,
    backbone_factor: NonNegativeFloat = 1.0,
    layer_decay: LayerDecay = 1.0,
    reference_batch: PositiveInt | None = None,
) -> TorchOptimizer:
    """NAdam: Adam with Nesterov momentum.

    Paper: Incorporating Nesterov Momentum into Adam (Dozat, 2016),
        https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ

    Args:
        learning_rate: The rate that the schedule's factors multiply.
        betas: Decay of the averages of the gradient and of its square.
        eps: Added to the denominator.
        momentum_decay: How fast the momentum approaches its first beta.
        weight_decay: L2 penalty; none for norm layers, biases, and parameters that a network
            exempts, such as position biases and layer scales.
        backbone_factor: Factor of the learning rate of the backbone's parameters.
        layer_decay: Factor of the learning rate from each block of the backbone to the previous
            one; 1 gives all blocks one rate, 0.75 is common for pretrained transformers.
        reference_batch: If set, the learning rate applies to this many images per step, and is
            scaled in proportion to the actual images per step over all devices.
    """
    return TorchOptimizer(
        torch.optim.NAdam,
        {"betas": betas, "eps": eps, "momentum_decay": momentum_decay},
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        backbone_factor=backbone_factor,
        layer_decay=layer_decay,
        reference_batch=reference_batch,
    )
