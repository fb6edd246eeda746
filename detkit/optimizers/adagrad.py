"""Adagrad."""

from __future__ import annotations

import torch

from detkit.optimizers.parameter_groups import LayerDecay
from detkit.optimizers.torch_optimizer import TorchOptimizer
from detkit.registry import NonNegativeFloat, PositiveFloat, PositiveInt, register


@register("optimizer", "adagrad")
def adagrad(
    *,
    learning_rate: PositiveFloat = 0.01,
    initial_accumulator: NonNegativeFloat = 0.0,
    eps: PositiveFloat = 1e-10,
    weight_decay: NonNegativeFloat = 0.0,
    backbone_factor: NonNegativeFloat = 1.0,
    layer_decay: LayerDecay = 1.0,
    reference_batch: PositiveInt | None = None,
) -> TorchOptimizer:
    """Adagrad: steps divided by the root of the sum of all squared gradients so far.

    The steps shrink by themselves, so `scheduler=constant` fits.

    Paper: Adaptive Subgradient Methods for Online Learning (Duchi et al., 2011),
        https://jmlr.org/papers/v12/duchi11a.html

    Args:
        learning_rate: The rate that the schedule's factors multiply.
        initial_accumulator: Start of the sum of squared gradients.
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
        torch.optim.Adagrad,
        {"initial_accumulator_value": initial_accumulator, "eps": eps},
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        backbone_factor=backbone_factor,
        layer_decay=layer_decay,
        reference_batch=reference_batch,
    )
