"""The neck of YOLOv2: a passthrough from the second coarsest level."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from detkit.errors import UserError
from detkit.layers import Activation, ConvBlock
from detkit.registry import NonNegativeInt, PositiveInt, Wired, register
from detkit.structures import FeatureSpec

_Norm = Literal["none", "batch", "cmbn", "group"]
ChannelOrder = Literal["darknet", "blocks"]
_LEVELS = 2


@register("neck", "yolov2")
class YOLOv2Neck(nn.Module):
    """Convolutions on the coarsest level, joined by the cells of the level before it.

    A 1x1 convolution narrows the finer level. The passthrough then moves the cells that one coarse
    cell covers into its channels.

    Paper: YOLO9000: Better, Faster, Stronger (Redmon and Farhadi, 2017), section 2,
    "Fine-Grained Features", https://arxiv.org/abs/1612.08242
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        convs: NonNegativeInt = 2,
        passthrough_channels: NonNegativeInt = 64,
        out_channels: PositiveInt | None = None,
        channel_order: ChannelOrder = "darknet",
        norm: _Norm = "batch",
        activation: Activation = "leaky_relu",
    ) -> None:
        """Build the neck.

        Args:
            feature_specs: The input levels; only the two coarsest are used.
            convs: 3x3 convolutions on the coarsest level before the passthrough joins.
            passthrough_channels: Channels of the finer level before its cells are rearranged; a
                multiple of 4 if the strides differ by 2. 0 builds no passthrough (tiny YOLOv2).
            out_channels: Output channels of each convolution; null takes those of the coarsest
                level.
            channel_order: Order of the rearranged values. `darknet` is the order of Darknet's
                reorg layer, in which the published weights were trained. It interprets the map as
                one with four times fewer channels and twice the height and width. `blocks` takes
                the position inside a coarse cell first, then the channel.
            norm: Normalisation after each convolution.
            activation: Function after each normalisation.

        Raises:
            UserError: The passthrough needs two levels, or its channels do not divide.
        """
        super().__init__()
        coarse = feature_specs[-1]
        out_channels = out_channels or coarse.channels
        widths = [coarse.channels] + [out_channels] * convs

        def conv(width: int, outputs: int, kernel_size: int = 3) -> nn.Module:
            return ConvBlock(
                width, outputs, kernel_size=kernel_size, norm=norm, activation=activation
            )

        self.coarse = nn.Sequential(*(conv(width, out_channels) for width in widths[:convs]))
        joined, self.passthrough = widths[convs], None
        if passthrough_channels:
            self._ratio = _require_passthrough(feature_specs, passthrough_channels, channel_order)
            self._rearrange = rearrange_as_darknet if channel_order == "darknet" else blocks_first
            fine_channels = feature_specs[-_LEVELS].channels
            self.passthrough = conv(fine_channels, passthrough_channels, 1)
            joined += passthrough_channels * self._ratio**2
        self.join = conv(joined, out_channels)
        self.feature_specs = [FeatureSpec(out_channels, coarse.stride)]

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """L maps to one map (B, out_channels, H_L, W_L)."""
        coarse = self.coarse(features[-1])
        if self.passthrough is not None:
            height, width = coarse.shape[-2] * self._ratio, coarse.shape[-1] * self._ratio
            fine = self.passthrough(features[-_LEVELS])
            # Only maps of image sizes that the strides do not divide change their size here.
            fine = F.interpolate(fine, size=(height, width), mode="nearest")
            coarse = torch.cat([self._rearrange(fine, self._ratio), coarse], dim=1)
        return [self.join(coarse)]


def blocks_first(features: Tensor, ratio: int) -> Tensor:
    """(B, C, rH, rW) to (B, r * r * C, H, W): the position in a cell, then the channel."""
    batch, channels, height, width = features.shape
    cells = features.reshape(batch, channels, height // ratio, ratio, width // ratio, ratio)
    return cells.permute(0, 3, 5, 1, 2, 4).flatten(1, 3)


def rearrange_as_darknet(features: Tensor, ratio: int) -> Tensor:
    """(B, C, rH, rW) to (B, r * r * C, H, W) in the order of Darknet's reorg layer.

    reorg_cpu in Darknet computes its indices with the size of the input where it needs the size
    of the output. So it reads the map as (C / r^2, r * rH, r * rW), and writes r^2 * (C / r^2) maps
    of rH x rW, whose memory is the output. Values of a cell may thus move to other cells.
    """
    batch, channels, height, width = features.shape
    enlarged = features.reshape(batch, channels // ratio**2, ratio * height, ratio * width)
    # Without flatten, torch.export takes the width of the result for a quotient of all sides, which
    # is wrong for an odd number of cells.
    values = blocks_first(enlarged, ratio).flatten(1)
    return values.reshape(batch, channels * ratio**2, height // ratio, width // ratio)


def _require_passthrough(specs: list[FeatureSpec], channels: int, order: ChannelOrder) -> int:
    """The ratio of the strides of the two coarsest levels."""
    if len(specs) < _LEVELS:
        raise UserError(
            f"neck 'yolov2' needs 2 or more feature levels for its passthrough, got {len(specs)}: "
            "raise model.backbone.levels, or set model.neck.passthrough_channels=0."
        )
    ratio = specs[-1].stride // specs[-_LEVELS].stride
    if order == "darknet" and channels % ratio**2:
        raise UserError(
            f"neck 'yolov2': passthrough_channels is {channels}, but the order 'darknet' needs a "
            f"multiple of {ratio**2}: use {channels + -channels % ratio**2}, or "
            "channel_order=blocks."
        )
    return ratio
