"""AdamW.

`fused` and `foreach` stay at PyTorch's own choice (foreach on a GPU): Lightning refuses to clip the
gradients of a fused optimizer in 16-bit training.
"""

from __future__ import annotations

import torch
from torch import nn

from detkit.optimizers.parameter_groups import LayerDecay, parameter_groups, scaled_rate
from detkit.registry import Fraction, NonNegativeFloat, PositiveFloat, PositiveInt, register


@register("optimizer", "adamw")
class AdamW:
    """Adam with decoupled weight decay: for transformers, and for fast starts from scratch.

    Paper: Decoupled Weight Decay Regularization (Loshchilov and Hutter, 2019),
        https://arxiv.org/abs/1711.05101

    Args:
        learning_rate: The rate that the schedule's factors multiply.
        betas: Decay of the averages of the gradient and of its square.
        weight_decay: Share of a weight taken off per step, times the learning rate; none for norm
            layers, biases, and what a network exempts, such as position biases and layer scales.
        backbone_factor: Factor of the learning rate of the backbone's parameters.
        layer_decay: Factor of the learning rate from each block of the backbone to the previous
            one; 1 gives all blocks one rate, 0.75 is common for pretrained transformers.
        reference_batch: If set, the learning rate applies to this many images per step, and is
            scaled in proportion to the actual images per step over all devices.
    """

    def __init__(
        self,
        *,
        learning_rate: PositiveFloat = 1e-4,
        betas: tuple[Fraction, Fraction] = (0.9, 0.999),
        weight_decay: NonNegativeFloat = 0.05,
        backbone_factor: NonNegativeFloat = 1.0,
        layer_decay: LayerDecay = 1.0,
        reference_batch: PositiveInt | None = None,
    ) -> None:
        self.learning_rate = learning_rate
        self.betas = betas
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
        return torch.optim.AdamW(groups, betas=self.betas)
