"""Weighted bidirectional feature pyramid network."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from detkit.layers.conv import ConvBlock
from detkit.layers.norm import make_norm
from detkit.necks.extra_levels import (
    Extra,
    ExtraLevels,
    crop,
    require_doubling,
    require_levels,
)
from detkit.registry import PositiveInt, Wired, register
from detkit.structures import FeatureSpec

_Norm = Literal["none", "batch", "group"]
_EPSILON = 1e-4  # as in the paper's fast normalised fusion


@register("neck", "bifpn")
class BiFPN(nn.Module):
    """Repeated top-down and bottom-up fusion with learnt weights and few channels.

    Paper: EfficientDet: Scalable and Efficient Object Detection (Tan et al., 2020), section 3,
    https://arxiv.org/abs/1911.09070

    The defaults are EfficientDet-D0's. Departures from its code: a level that feeds two nodes of
    the first repeat is projected only once, and the extra levels are FPN's.
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        out_channels: PositiveInt = 64,
        repeats: PositiveInt = 3,
        extra: Extra = "p6p7_on_c5",
        norm: _Norm = "batch",
        min_levels: PositiveInt = 3,
    ) -> None:
        """Build the pyramid.

        Args:
            feature_specs: The input levels.
            out_channels: Channels of each output level; 64 to 384 for D0 to D7.
            repeats: Number of top-down and bottom-up passes; 3 to 8 for D0 to D7.
            extra: Coarser levels to add: `pool` one by subsampling, `p6p7_on_p5` two by
                convolutions on the projected coarsest level, `p6p7_on_c5` on the backbone's.
            norm: Normalisation after each convolution.
            min_levels: Minimum number of levels from the backbone.

        Raises:
            UserError: There are too few input levels, or a gap between them.
        """
        super().__init__()
        require_levels("bifpn", feature_specs, max(min_levels, 1 if extra != "none" else 2))
        require_doubling("bifpn", feature_specs)
        self.project = nn.ModuleList(
            ConvBlock(spec.channels, out_channels, kernel_size=1, norm=norm, activation="none")
            for spec in feature_specs
        )
        self.extra = ExtraLevels(
            extra, channels=out_channels, input_channels=feature_specs[-1].channels
        )
        self.feature_specs = self.extra.specs(feature_specs, out_channels)
        levels = len(self.feature_specs)
        self.repeats = nn.ModuleList(_Repeat(levels, out_channels, norm) for _ in range(repeats))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Maps (B, C_l, H_l, W_l) to maps (B, out_channels, H_l, W_l), extra levels included."""
        maps = [project(level) for project, level in zip(self.project, features, strict=True)]
        maps += self.extra(maps[-1], features[-1])
        for repeat in self.repeats:
            maps = repeat(maps)
        return maps


class _Repeat(nn.Module):
    """One top-down and one bottom-up pass."""

    def __init__(self, levels: int, channels: int, norm: _Norm) -> None:
        super().__init__()
        self.upward = nn.ModuleList(Fusion(2, channels, norm) for _ in range(levels - 1))
        inputs = [3] * (levels - 2) + [2]  # the coarsest level has no intermediate map
        self.downward = nn.ModuleList(Fusion(count, channels, norm) for count in inputs)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        middle = [maps[-1]]  # fine to coarse
        for level in range(len(maps) - 2, -1, -1):
            size = maps[level].shape[-2:]
            coarse = F.interpolate(middle[0], size=size, mode="nearest")
            middle.insert(0, self.upward[level]([maps[level], coarse]))
        outputs = [middle[0]]
        for level, fusion in enumerate(self.downward, start=1):
            inputs = [maps[level]] if level == len(maps) - 1 else [maps[level], middle[level]]
            halved = F.max_pool2d(outputs[-1], kernel_size=3, stride=2, padding=1)
            size = maps[level].shape[-2:]
            outputs.append(fusion([*inputs, crop(halved, (size[0], size[1]))]))
        return outputs


class Fusion(nn.Module):
    """Fast normalised fusion of N maps of one shape, then a depthwise separable convolution."""

    def __init__(self, inputs: int, channels: int, norm: _Norm) -> None:
        """Build the node.

        Args:
            inputs: N.
            channels: Channels of each map.
            norm: Normalisation after the convolution.
        """
        super().__init__()
        self.weights = nn.Parameter(torch.ones(inputs))
        self.depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.pointwise = nn.Conv2d(channels, channels, 1)
        self.norm = make_norm(norm, channels)

    def fuse(self, maps: list[Tensor]) -> Tensor:
        """The mean of the maps, weighted by the positive parts of the weights."""
        weights = self.weights.relu()
        total = sum(weight * level for weight, level in zip(weights, maps, strict=True))
        fused: Tensor = total / (weights.sum() + _EPSILON)
        return fused

    def forward(self, maps: list[Tensor]) -> Tensor:
        """N maps (B, C, H, W) to one of this shape."""
        fused = F.silu(self.fuse(maps))
        convolved: Tensor = self.norm(self.pointwise(self.depthwise(fused)))
        return convolved
