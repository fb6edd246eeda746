"""Layers of SSD and SSDlite: a class layer and a box layer for each level."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from detkit.heads.towers import flatten_maps
from detkit.layers.initialisation import (
    Probability,
    normal_convolutions,
    prior_logits,
    uniform_convolutions,
)
from detkit.layers.mobile import MOBILE_STD, depthwise_conv
from detkit.ops import ClassActivation, logits_for
from detkit.registry import Wired, register
from detkit.structures import DensePredictions, FeatureSpec


@register("layers", "ssd")
class SSDLayers(nn.Module):
    """Per level: one class layer and one box layer, for any number of priors per cell.

    Paper: SSD: Single Shot MultiBox Detector (Liu et al., 2016), https://arxiv.org/abs/1512.02325
    Paper: MobileNetV2: Inverted Residuals and Linear Bottlenecks (Sandler et al., 2018), section
    6.2, the separable layers, https://arxiv.org/abs/1801.04381

    Args:
        feature_specs: Channels and stride of each input level.
        num_classes: C.
        per_cell: A, the priors per cell, for each level.
        code_size: D of the box coder.
        class_activation: Activation of the classification loss.
        separable: Whether the layers are depthwise separable convolutions, as in SSDlite.
        prior_probability: Score of the classes in an untrained head; null gives all classes and
            background the same score, which suits hard negatives.
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        num_classes: Wired[int],
        per_cell: Wired[list[int]],
        code_size: Wired[int],
        class_activation: Wired[ClassActivation],
        separable: bool = False,
        prior_probability: Probability | None = None,
    ) -> None:
        super().__init__()
        class_logits = _initial_logits(prior_probability, num_classes, class_activation)  # (K,)
        layer = _separable_layer if separable else _plain_layer
        levels = list(zip(feature_specs, per_cell, strict=True))
        self._num_logits, self._code_size = len(class_logits), code_size
        self.class_layers = nn.ModuleList(
            layer(spec.channels, priors * len(class_logits)) for spec, priors in levels
        )
        self.box_layers = nn.ModuleList(
            layer(spec.channels, priors * code_size) for spec, priors in levels
        )
        for class_layer, priors in zip(self.class_layers, per_cell, strict=True):
            last = [part for part in class_layer.modules() if isinstance(part, nn.Conv2d)][-1]
            with torch.no_grad():
                last.bias.copy_(class_logits.repeat(priors))  # type: ignore[union-attr]

    def forward(self, features: list[Tensor]) -> DensePredictions:
        """L maps (B, C_l, H_l, W_l) to predictions in the order level, row, column, prior."""
        levels = list(zip(features, self.class_layers, self.box_layers, strict=True))
        logits = [flatten_maps(layer(level), self._num_logits) for level, layer, _ in levels]
        codes = [flatten_maps(layer(level), self._code_size) for level, _, layer in levels]
        return DensePredictions(torch.cat(logits, dim=1), torch.cat(codes, dim=1), None)


def _plain_layer(in_channels: int, out_channels: int) -> nn.Module:
    layer = nn.Conv2d(in_channels, out_channels, 3, padding=1)
    uniform_convolutions(layer)
    return layer


def _separable_layer(in_channels: int, out_channels: int) -> nn.Module:
    layer = nn.Sequential(depthwise_conv(in_channels), nn.Conv2d(in_channels, out_channels, 1))
    normal_convolutions(layer, MOBILE_STD)
    return layer


def _initial_logits(
    probability: float | None, num_classes: int, activation: ClassActivation
) -> Tensor:
    """(K,) logits of an untrained head."""
    if probability is not None:
        return prior_logits(probability, num_classes, activation)
    return torch.zeros(logits_for(num_classes, activation))
