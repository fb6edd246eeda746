"""Layers of a dense head: feature levels to class logits and box codes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from detkit import Wired, register
from detkit.layers import ConvBlock, Probability, prior_logits
from detkit.ops import ClassActivation
from detkit.registry import PositiveInt
from detkit.structures import DensePredictions, FeatureSpec


@register("layers", "my_layers")
class MyLayers(nn.Module):
    """Per level: 3x3 convolutions and one output layer for classes and boxes.

    Args:
        feature_specs: Channels and stride of each input level.
        num_classes: C.
        per_cell: A, the priors per cell, for each level.
        code_size: D of the box coder.
        class_activation: Activation of the classification loss.
        convs: 3x3 convolutions on each level before the output layer.
        prior_probability: Score of each class in an untrained head.
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        num_classes: Wired[int],
        per_cell: Wired[list[int]],
        code_size: Wired[int],
        class_activation: Wired[ClassActivation],
        convs: PositiveInt = 2,
        prior_probability: Probability = 0.01,
    ) -> None:
        super().__init__()
        class_logits = prior_logits(prior_probability, num_classes, class_activation)  # (K,)
        self.num_logits = len(class_logits)
        bias = torch.cat([class_logits, torch.zeros(code_size)])  # (K + D,)
        self.levels = nn.ModuleList(
            nn.Sequential(
                *(ConvBlock(spec.channels, spec.channels) for _ in range(convs)),
                _output_layer(spec.channels, bias.repeat(priors)),
            )
            for spec, priors in zip(feature_specs, per_cell, strict=True)
        )
        self.values = len(bias)  # per prior

    def forward(self, features: list[Tensor]) -> DensePredictions:
        """L maps (B, C_l, H_l, W_l) to predictions in the order level, row, column, prior."""
        levels = []
        for layers, feature in zip(self.levels, features, strict=True):
            maps = layers(feature)  # (B, A * (K + D), H, W)
            levels.append(maps.permute(0, 2, 3, 1).reshape(maps.shape[0], -1, self.values))
        values = torch.cat(levels, dim=1)  # (B, P, K + D)
        return DensePredictions(
            class_logits=values[..., : self.num_logits],
            box_codes=values[..., self.num_logits :],
            quality=None,
        )


def _output_layer(channels: int, bias: Tensor) -> nn.Conv2d:
    """A convolution that starts near its bias, so that an untrained head detects nothing."""
    layer = nn.Conv2d(channels, len(bias), 3, padding=1)
    nn.init.normal_(layer.weight, std=0.01)
    layer.bias = nn.Parameter(bias)
    return layer
