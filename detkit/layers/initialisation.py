"""Initial values of weights and biases."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor, nn

from detkit.ops import ClassActivation

Probability = Annotated[float, Interval(gt=0, lt=1)]


def normal_convolutions(module: nn.Module, std: float = 0.01) -> None:
    """Normal weights and zero biases in every convolution, as in RetinaNet and FCOS."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def uniform_convolutions(module: nn.Module) -> None:
    """Uniform weights that keep the variance of a linear layer (Caffe's Xavier), zero biases."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_uniform_(layer.weight, a=1)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def prior_logits(probability: float, num_classes: int, activation: ClassActivation) -> Tensor:
    """The K logits that an untrained classifier should predict for each prior.

    Most priors are background, and their loss would dominate a classifier that starts at even odds
    (Lin et al., 2017, section 3.3).

    Args:
        probability: Probability of each class, or of all together with a softmax.
        num_classes: C.
        activation: A softmax gives K = C + 1 with background last, the others K = C.
    """
    if activation in ("identity", "soft_clip"):
        return torch.full((num_classes,), probability)
    odds = math.log(probability / (1 - probability))
    if activation == "sigmoid":
        return torch.full((num_classes,), odds)
    if activation == "conditional_softmax":
        return torch.tensor([*[0.0] * num_classes, -odds])
    logits = torch.full((num_classes + 1,), math.log(probability / num_classes))
    logits[-1] = math.log(1 - probability)
    return logits
