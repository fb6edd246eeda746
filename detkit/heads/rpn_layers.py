"""Layers of a region proposal network: a few convolutions that all levels share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from detkit.heads.towers import flatten_maps, same_on_all_levels
from detkit.layers import ConvBlock, Probability, normal_convolutions, prior_logits
from detkit.ops import ClassActivation
from detkit.registry import PositiveInt, Wired, register
from detkit.structures import DensePredictions, FeatureSpec


@register("layers", "rpn")
class RPNLayers(nn.Module):
    """Shared 3x3 convolutions, then a 1x1 class layer and a 1x1 box layer.

    Paper: Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks (Ren et
    al., 2015), https://arxiv.org/abs/1506.01497

    Args:
        feature_specs: Channels and stride of each input level; channels must be equal.
        num_classes: C, 1 in a proposer.
        per_cell: A, the priors per cell, for each level; must be equal.
        code_size: D of the box coder.
        class_activation: Activation of the classification loss.
        convs: 3x3 convolutions before the output layers.
        prior_probability: Score of each class in an untrained network.
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        num_classes: Wired[int],
        per_cell: Wired[list[int]],
        code_size: Wired[int],
        class_activation: Wired[ClassActivation],
        convs: PositiveInt = 1,
        prior_probability: Probability = 0.5,
    ) -> None:
        super().__init__()
        class_logits = prior_logits(prior_probability, num_classes, class_activation)  # (K,)
        channels = same_on_all_levels([spec.channels for spec in feature_specs], "channels")
        priors = same_on_all_levels(per_cell, "priors per cell")
        self.shared = nn.Sequential(*(ConvBlock(channels, channels) for _ in range(convs)))
        self.class_layer = nn.Conv2d(channels, priors * len(class_logits), 1)
        self.box_layer = nn.Conv2d(channels, priors * code_size, 1)
        normal_convolutions(self)
        with torch.no_grad():
            self.class_layer.bias.copy_(class_logits.repeat(priors))  # type: ignore[union-attr]
        self._num_logits, self._code_size = len(class_logits), code_size

    def forward(self, features: list[Tensor]) -> DensePredictions:
        """L maps (B, C, H_l, W_l) to predictions in the order level, row, column, prior."""
        shared = [self.shared(level) for level in features]
        logits = [flatten_maps(self.class_layer(level), self._num_logits) for level in shared]
        codes = [flatten_maps(self.box_layer(level), self._code_size) for level in shared]
        return DensePredictions(torch.cat(logits, dim=1), torch.cat(codes, dim=1), None)
