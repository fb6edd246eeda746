"""The path aggregation network of YOLOv5 and Scaled-YOLOv4."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from detkit.errors import UserError
from detkit.layers import Activation, ConvBlock, CSPStage
from detkit.necks.extra_levels import crop, require_doubling
from detkit.registry import PositiveFloat, PositiveInt, Wired, register
from detkit.structures import FeatureSpec

_Norm = Literal["none", "batch", "cmbn", "group"]


class ConvStyle(NamedTuple):
    """Norm and activation shared by all convolutions of the neck."""

    norm: _Norm
    activation: Activation

    def conv(self, before: int, after: int, kernel_size: int, stride: int = 1) -> ConvBlock:
        """A convolution from `before` to `after` channels."""
        return ConvBlock(
            before,
            after,
            kernel_size=kernel_size,
            stride=stride,
            norm=self.norm,
            activation=self.activation,
        )

    def join(self, before: int, after: int, blocks: int) -> CSPStage:
        """The stage that merges two concatenated maps."""
        return CSPStage(
            before,
            after,
            blocks=blocks,
            norm=self.norm,
            activation=self.activation,
            shortcut=False,
        )


@register("neck", "csp_pan")
class CSPPAN(nn.Module):
    """Top-down, then bottom-up fusion with cross-stage partial blocks.

    Paper: Path Aggregation Network for Instance Segmentation (Liu et al., 2018),
    https://arxiv.org/abs/1803.01534; with CSP blocks in Scaled-YOLOv4 (Wang et al., 2020),
    https://arxiv.org/abs/2011.08036
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        blocks: PositiveInt = 3,
        width: PositiveFloat = 1.0,
        norm: _Norm = "batch",
        activation: Activation = "silu",
    ) -> None:
        """Build the neck.

        Args:
            feature_specs: The input levels.
            blocks: Residual blocks per fusion: 3 times YOLOv5's depth factor.
            width: Factor on the channels of each level: 1 in YOLOv5, 0.5 in YOLOv4.
            norm: Normalisation after each convolution.
            activation: Function after each normalisation.

        Raises:
            UserError: There is only one level, or a gap between levels.
        """
        super().__init__()
        if len(feature_specs) == 1:
            raise UserError(
                f"neck 'csp_pan' fuses levels, but its input has only one (stride "
                f"{feature_specs[0].stride}): list more in model.backbone.levels."
            )
        require_doubling("csp_pan", feature_specs)
        in_channels = [spec.channels for spec in feature_specs]
        out_channels = [max(2, round(channels * width)) for channels in in_channels]

        style = ConvStyle(norm, activation)
        pairs = list(pairwise(out_channels))  # each level and the next coarser one
        above = [*out_channels[1:-1], in_channels[-1]]
        self.lateral = nn.ModuleList(
            style.conv(coarse, fine, 1) for coarse, (fine, _) in zip(above, pairs, strict=True)
        )
        self.upward = nn.ModuleList(
            style.join(fine + level_channels, fine, blocks)
            for level_channels, (fine, _) in zip(in_channels[:-1], pairs, strict=True)
        )
        self.halving = nn.ModuleList(style.conv(fine, fine, 3, stride=2) for fine, _ in pairs)
        self.downward = nn.ModuleList(
            style.join(2 * fine, coarse, blocks) for fine, coarse in pairs
        )
        self.feature_specs = [
            FeatureSpec(channels, spec.stride)
            for channels, spec in zip(out_channels, feature_specs, strict=True)
        ]

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Maps (B, C_l, H_l, W_l) to maps (B, C_l * width, H_l, W_l)."""
        narrowed: list[Tensor] = []  # coarser levels with the channels of the next finer one
        merged = features[-1]
        for level in range(len(features) - 2, -1, -1):
            narrowed.insert(0, self.lateral[level](merged))
            size = features[level].shape[-2:]
            coarse = F.interpolate(narrowed[0], size=size, mode="nearest")
            merged = self.upward[level](torch.cat([coarse, features[level]], dim=1))
        maps = [merged]
        for level, coarse in enumerate(narrowed):
            size = coarse.shape[-2:]
            fine = crop(self.halving[level](maps[-1]), (size[0], size[1]))
            maps.append(self.downward[level](torch.cat([fine, coarse], dim=1)))
        return maps
