"""RMSprop."""

from __future__ import annotations

import torch

from detkit.optimizers.parameter_groups import BelowOne, LayerDecay
from detkit.optimizers.torch_optimizer import TorchOptimizer
from detkit.registry import NonNegativeFloat, PositiveFloat, PositiveInt, register


@register("optimizer", "rmsprop")
def rmsprop(
    *,
    learning_rate: PositiveFloat = 0.0001,
    alpha: BelowOne = 0.99,
    momentum: BelowOne = 0.0,
    centered: bool = False,
    eps: PositiveFloat = 1e-8,
    weight_decay: NonNegativeFloat = 0.0,
    backbone_factor: NonNegativeFloat = 1.0,
    layer_decay: LayerDecay = 1.0,
    reference_batch: PositiveInt | None = None,
) -> TorchOptimizer:
    """RMSprop: steps divided by a running average of the gradient's size.

    Paper: Lecture 6e of Neural Networks for Machine Learning (Hinton, 2012),
        https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf

    Args:
        learning_rate: The rate that the schedule's factors multiply.
        alpha: Decay of the average of squared gradients.
        momentum: Share of the last update in the next.
        centered: Divide by the deviation of the gradient instead of its size.
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
        torch.optim.RMSprop,
        {"alpha": alpha, "momentum": momentum, "centered": centered, "eps": eps},
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        backbone_factor=backbone_factor,
        layer_decay=layer_decay,
        reference_batch=reference_batch,
    )
