"""The neck of YOLOv3."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from detkit.layers import Activation, ConvBlock
from detkit.registry import Wired, register
from detkit.structures import FeatureSpec

_Norm = Literal["none", "batch", "cmbn", "group"]


@register("neck", "yolov3")
class YOLOv3Neck(nn.Module):
    """YOLOv3's top-down fusion: five convolutions on each level, which halve its channels.

    Paper: YOLOv3: An Incremental Improvement (Redmon and Farhadi, 2018), section 2.3,
    https://arxiv.org/abs/1804.02767
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        norm: _Norm = "batch",
        activation: Activation = "leaky_relu",
    ) -> None:
        """Build the neck.

        Args:
            feature_specs: The input levels.
            norm: Normalisation after each convolution.
            activation: Function after each normalisation.
        """
        super().__init__()
        halves = [spec.channels // 2 for spec in feature_specs]
        self.lateral = nn.ModuleList(
            ConvBlock(coarse, coarse // 2, kernel_size=1, norm=norm, activation=activation)
            for coarse in halves[1:]
        )
        from_above = [*(coarse // 2 for coarse in halves[1:]), 0]
        self.output = nn.ModuleList(
            five_convolutions(spec.channels + more, half, norm, activation)
            for spec, half, more in zip(feature_specs, halves, from_above, strict=True)
        )
        self.feature_specs = [
            FeatureSpec(half, spec.stride) for half, spec in zip(halves, feature_specs, strict=True)
        ]

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Maps (B, C_l, H_l, W_l) to maps (B, C_l / 2, H_l, W_l)."""
        outputs = [self.output[-1](features[-1])]
        for level in range(len(features) - 2, -1, -1):
            fine = features[level]
            coarse = self.lateral[level](outputs[0])
            coarse = F.interpolate(coarse, size=fine.shape[-2:], mode="nearest")
            outputs.insert(0, self.output[level](torch.cat([coarse, fine], dim=1)))
        return outputs


def five_convolutions(
    in_channels: int, out_channels: int, norm: _Norm, activation: Activation
) -> nn.Sequential:
    """1x1, 3x3, 1x1, 3x3, 1x1; the 3x3 convolutions double the channels."""
    narrow, wide = out_channels, 2 * out_channels
    sizes = [in_channels, narrow, wide, narrow, wide, narrow]
    return nn.Sequential(
        *(
            ConvBlock(
                before, after, kernel_size=1 + 2 * (index % 2), norm=norm, activation=activation
            )
            for index, (before, after) in enumerate(pairwise(sizes))
        )
    )
