"""Optimizers, and the parameter groups that they share.

`fused` and `foreach` stay at PyTorch's own choice (foreach on a GPU): Lightning refuses to clip the
gradients of a fused optimizer in 16-bit training.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from detkit.errors import UserError
from detkit.registry import (
    Fraction,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    register,
)
from detkit.training.regrouping import grouped_names
from detkit.training.weight_decay import undecayed_parameters


def parameter_groups(
    model: nn.Module, learning_rate: float, weight_decay: float, backbone_factor: float
) -> list[dict[str, Any]]:
    """Trainable parameters by learning rate and weight decay; empty groups are left out.

    What `undecayed_parameters` names gets no decay. Parameters of the backbone get `learning_rate *
    backbone_factor`.

    Raises:
        UserError: Nothing is trainable.
    """
    members = grouped_names(model, undecayed_parameters(model))
    if not members:
        raise UserError(
            "no parameter of the detector is trainable: unfreeze some, for example with "
            "model.backbone.trainable_stages."
        )
    parameters = dict(model.named_parameters())
    return [
        {
            "params": [parameters[name] for name in names],
            "lr": learning_rate * (backbone_factor if in_backbone else 1.0),
            "weight_decay": 0.0 if without_decay else weight_decay,
        }
        for (in_backbone, without_decay), names in members.items()
    ]


def scaled_rate(learning_rate: float, total_batch: int, reference_batch: int | None) -> float:
    """The learning rate in proportion to the images of a step, when a reference is given."""
    return (
        learning_rate if reference_batch is None else learning_rate * total_batch / reference_batch
    )


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
        self.reference_batch = reference_batch

    def __call__(self, model: nn.Module, total_batch: int) -> torch.optim.Optimizer:
        """The optimizer of a model's trainable parameters."""
        rate = scaled_rate(self.learning_rate, total_batch, self.reference_batch)
        groups = parameter_groups(model, rate, self.weight_decay, self.backbone_factor)
        return torch.optim.SGD(groups, momentum=self.momentum, nesterov=self.nesterov)


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
        reference_batch: PositiveInt | None = None,
    ) -> None:
        self.learning_rate = learning_rate
        self.betas = betas
        self.weight_decay = weight_decay
        self.backbone_factor = backbone_factor
        self.reference_batch = reference_batch

    def __call__(self, model: nn.Module, total_batch: int) -> torch.optim.Optimizer:
        """The optimizer of a model's trainable parameters."""
        rate = scaled_rate(self.learning_rate, total_batch, self.reference_batch)
        groups = parameter_groups(model, rate, self.weight_decay, self.backbone_factor)
        return torch.optim.AdamW(groups, betas=self.betas)
