"""Path aggregation network."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from detkit.layers.conv import ConvBlock
from detkit.layers.initialisation import uniform_convolutions
from detkit.necks.extra_levels import (
    Extra,
    ExtraLevels,
    crop,
    require_doubling,
    require_levels,
)
from detkit.necks.fpn import FPN
from detkit.registry import PositiveInt, Wired, register
from detkit.structures import FeatureSpec


@register("neck", "pan")
class PAN(nn.Module):
    """An FPN, then bottom-up fusion, a short path from fine details to coarse levels.

    Paper: Path Aggregation Network for Instance Segmentation (Liu et al., 2018), section 3.1,
    https://arxiv.org/abs/1803.01534
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        out_channels: PositiveInt = 256,
        extra: Extra = "p6p7_on_p5",
        norm: Literal["none", "batch", "group"] = "none",
        min_levels: PositiveInt = 3,
    ) -> None:
        """Build both pathways.

        Args:
            feature_specs: The input levels.
            out_channels: Channels of each output level.
            extra: Coarser levels to add: `pool` one by subsampling, `p6p7_on_p5` two by
                convolutions on the coarsest bottom-up level, `p6p7_on_c5` on the backbone's.
            norm: Normalisation after each convolution.
            min_levels: Minimum number of levels from the backbone.

        Raises:
            UserError: There are too few input levels, or a gap between them.
        """
        super().__init__()
        require_levels("pan", feature_specs, min_levels)
        require_doubling("pan", feature_specs)
        self.top_down = FPN(
            feature_specs=feature_specs,
            out_channels=out_channels,
            extra="none",
            norm=norm,
            min_levels=min_levels,
        )
        steps = list(pairwise(feature_specs))
        self.halving = nn.ModuleList(
            ConvBlock(out_channels, out_channels, stride=2, norm=norm) for _ in steps
        )
        self.merging = nn.ModuleList(
            ConvBlock(out_channels, out_channels, norm=norm) for _ in steps
        )
        self.extra = ExtraLevels(
            extra, channels=out_channels, input_channels=feature_specs[-1].channels
        )
        for part in (self.halving, self.merging, self.extra):
            uniform_convolutions(part)
        self.feature_specs = self.extra.specs(feature_specs, out_channels)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Maps (B, C_l, H_l, W_l) to maps (B, out_channels, H_l, W_l), extra levels included."""
        finest, *coarser = self.top_down(features)
        outputs = [finest]
        for halve, merge, level in zip(self.halving, self.merging, coarser, strict=True):
            halved = crop(halve(outputs[-1]), (level.shape[-2], level.shape[-1]))
            outputs.append(merge(halved + level))
        return [*outputs, *self.extra(outputs[-1], features[-1])]
