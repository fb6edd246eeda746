"""Necks that do not fuse levels: a 1x1 convolution on each, or the identity."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from detkit.layers.conv import ConvBlock
from detkit.layers.initialisation import uniform_convolutions
from detkit.necks.extra_levels import Extra, ExtraLevels
from detkit.registry import PositiveInt, Wired, register
from detkit.structures import FeatureSpec


@register("neck", "projection")
class Projection(nn.Module):
    """A 1x1 convolution on each level, for equal channels without fusion.

    Args:
        out_channels: Channels of each output level.
        coarsest: Keep only so many of the coarsest levels; null keeps all.
        extra: Coarser levels to add: `pool` one by subsampling, `p6p7_on_p5` two by convolutions
            on the coarsest output level, `p6p7_on_c5` on the backbone's.
        norm: Normalisation after each convolution.
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        out_channels: PositiveInt = 256,
        coarsest: PositiveInt | None = None,
        extra: Extra = "p6p7_on_p5",
        norm: Literal["none", "batch", "group"] = "none",
    ) -> None:
        super().__init__()
        feature_specs = feature_specs[-(coarsest or 0) :]
        self.project = nn.ModuleList(
            ConvBlock(spec.channels, out_channels, kernel_size=1, norm=norm, activation="none")
            for spec in feature_specs
        )
        self.extra = ExtraLevels(
            extra, channels=out_channels, input_channels=feature_specs[-1].channels
        )
        uniform_convolutions(self)
        self.feature_specs = self.extra.specs(feature_specs, out_channels)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Maps (B, C_l, H_l, W_l) to maps (B, out_channels, H_l, W_l), extra levels included."""
        features = features[-len(self.project) :]
        maps = [project(level) for project, level in zip(self.project, features, strict=True)]
        return [*maps, *self.extra(maps[-1], features[-1])]


@register("neck", "none")
class NoNeck(nn.Module):
    """Passes the backbone's levels on unchanged."""

    def __init__(self, *, feature_specs: Wired[list[FeatureSpec]]) -> None:
        super().__init__()
        self.feature_specs = list(feature_specs)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """The same maps."""
        return features
