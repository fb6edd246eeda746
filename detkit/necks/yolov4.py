"""The neck of YOLOv4: spatial pyramid pooling and path aggregation."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from detkit.layers import Activation
from detkit.necks.csp_pan import ConvStyle
from detkit.necks.extra_levels import crop, require_doubling
from detkit.necks.spp import require_odd
from detkit.necks.yolov3 import five_convolutions
from detkit.registry import PositiveInt, Wired, register
from detkit.structures import FeatureSpec

_Norm = Literal["none", "batch", "cmbn", "group"]


@register("neck", "yolov4")
class YOLOv4Neck(nn.Module):
    """Pools on the coarsest level, then top-down and bottom-up fusion; halves the channels.

    Five convolutions merge two levels, as in YOLOv3. The neck `csp_pan` has cross-stage partial
    blocks in their place, with fewer parameters.

    Paper: YOLOv4: Optimal Speed and Accuracy of Object Detection (Bochkovskiy et al., 2020),
    section 3.4, https://arxiv.org/abs/2004.10934; layout of yolov4.cfg in Darknet
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        pool_sizes: tuple[PositiveInt, ...] = (5, 9, 13),
        norm: _Norm = "batch",
        activation: Activation = "leaky_relu",
    ) -> None:
        """Build the neck.

        Args:
            feature_specs: The input levels.
            pool_sizes: Odd sides of the max pools, in cells.
            norm: Normalisation after each convolution.
            activation: Function after each normalisation.

        Raises:
            UserError: The strides do not double, or a pool has an even side.
        """
        super().__init__()
        require_doubling("yolov4", feature_specs)
        require_odd("yolov4", "pool_sizes", pool_sizes)
        style = ConvStyle(norm, activation)
        channels = [spec.channels for spec in feature_specs]
        halves = [width // 2 for width in channels]
        self.pooling = _PyramidPooling(channels[-1], pool_sizes, style)
        pairs = list(pairwise(halves))  # each level and the next coarser one
        self.lateral = nn.ModuleList(style.conv(c, c // 2, 1) for c in channels[:-1])
        self.narrow = nn.ModuleList(style.conv(coarse, fine, 1) for fine, coarse in pairs)
        self.upward = nn.ModuleList(
            five_convolutions(2 * fine, fine, norm, activation) for fine, _ in pairs
        )
        self.halving = nn.ModuleList(style.conv(fine, c, 3, stride=2) for fine, c in pairs)
        self.downward = nn.ModuleList(
            five_convolutions(2 * coarse, coarse, norm, activation) for _, coarse in pairs
        )
        self.feature_specs = [
            FeatureSpec(half, spec.stride) for half, spec in zip(halves, feature_specs, strict=True)
        ]

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Maps (B, C_l, H_l, W_l) to maps (B, C_l / 2, H_l, W_l)."""
        merged = [self.pooling(features[-1])]
        for level in range(len(features) - 2, -1, -1):
            fine = self.lateral[level](features[level])
            coarse = self.narrow[level](merged[0])
            coarse = F.interpolate(coarse, size=fine.shape[-2:], mode="nearest")
            merged.insert(0, self.upward[level](torch.cat([fine, coarse], dim=1)))
        outputs = [merged[0]]
        for level, coarse in enumerate(merged[1:]):
            size = (coarse.shape[-2], coarse.shape[-1])
            fine = crop(self.halving[level](outputs[-1]), size)
            outputs.append(self.downward[level](torch.cat([fine, coarse], dim=1)))
        return outputs


class _PyramidPooling(nn.Module):
    """(B, C, H, W) to (B, C / 2, H, W): max pools between two groups of three convolutions."""

    def __init__(self, channels: int, pool_sizes: tuple[int, ...], style: ConvStyle) -> None:
        super().__init__()
        half = channels // 2
        self.entry = _three_convolutions(channels, half, style)
        self.pools = nn.ModuleList(nn.MaxPool2d(k, stride=1, padding=k // 2) for k in pool_sizes)
        self.join = _three_convolutions(half * (1 + len(pool_sizes)), half, style)

    def forward(self, features: Tensor) -> Tensor:
        entry = self.entry(features)
        # In Darknet's order: the last pool first, then the others, then their input.
        pools = [pool(entry) for pool in self.pools][::-1]
        joined: Tensor = self.join(torch.cat([*pools, entry], dim=1))
        return joined


def _three_convolutions(in_channels: int, out_channels: int, style: ConvStyle) -> nn.Sequential:
    """1x1, 3x3, 1x1; the 3x3 convolution doubles the channels."""
    return nn.Sequential(
        style.conv(in_channels, out_channels, 1),
        style.conv(out_channels, 2 * out_channels, 3),
        style.conv(2 * out_channels, out_channels, 1),
    )
