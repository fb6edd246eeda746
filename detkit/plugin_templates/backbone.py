"""A backbone: turns images into feature levels."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from detkit import register
from detkit.layers import ConvBlock
from detkit.registry import PositiveInt
from detkit.structures import FeatureSpec

_STEM_STRIDE = 4


@register("backbone", "my_backbone")
class MyBackbone(nn.Module):
    """Pairs of 3x3 convolutions that halve the size and double the channels; strides 8, 16, 32.

    Args:
        width: Channels at stride 4.
    """

    def __init__(self, *, width: PositiveInt = 24) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            ConvBlock(3, width, stride=2, norm="batch"),
            ConvBlock(width, width, stride=2, norm="batch"),
        )
        channels = [width * 2**stage for stage in range(4)]
        self.stages = nn.ModuleList(
            nn.Sequential(
                ConvBlock(before, after, stride=2, norm="batch"),
                ConvBlock(after, after, norm="batch"),
            )
            for before, after in pairwise(channels)
        )
        # The output levels, fine to coarse; the parts after the backbone are built from them.
        self.feature_specs = [
            FeatureSpec(count, _STEM_STRIDE * 2**stage)
            for stage, count in enumerate(channels[1:], start=1)
        ]

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) to 3 maps (B, C_l, H / stride, W / stride), rounded up, fine to coarse."""
        level, levels = self.stem(images), []
        for stage in self.stages:
            level = stage(level)
            levels.append(level)
        return levels
