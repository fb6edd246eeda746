"""The network of tiny YOLOv4."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from detkit.backbones.darknet import Norm
from detkit.backbones.darknet19 import DARKNET_PIXELS
from detkit.backbones.staged import FrozenStages, Levels, StagedBackbone
from detkit.layers import Activation, ConvBlock
from detkit.registry import register

_CHANNELS = (32, 64, 128, 256, 512)


@register("backbone", "csp_darknet_tiny")
class CSPDarknetTiny(StagedBackbone):
    """The network of tiny YOLOv4: three cross-stage partial stages between strides 4 and 16.

    Such a stage passes twice its channels to the next one. Its map for the neck is the half that
    went through its inner convolutions, as in Darknet's configuration.

    Paper: Scaled-YOLOv4: Scaling Cross Stage Partial Network (Wang et al., 2020), section 4.2,
    https://arxiv.org/abs/2011.08036; layout of yolov4-tiny.cfg in Darknet
    """

    def __init__(
        self,
        *,
        norm: Norm = "batch",
        activation: Activation = "leaky_relu",
        frozen_stages: FrozenStages = 0,
        levels: Levels = (3, 4, 5),
    ) -> None:
        """Build the network.

        Args:
            norm: Normalisation after each convolution.
            activation: Function after each normalisation.
            frozen_stages: Number of frozen stages, from the input; the first has stride 2.
            levels: Output levels, fine to coarse; level l has stride 2**l.
        """

        def conv(before: int, after: int, stride: int = 1) -> ConvBlock:
            return ConvBlock(before, after, stride=stride, norm=norm, activation=activation)

        first, second, *partial, last = _CHANNELS
        stages: list[nn.Module] = [
            conv(3, first, stride=2),
            nn.Sequential(conv(first, second, stride=2), _TinyStage(second, norm, activation)),
        ]
        stages += [nn.Sequential(nn.MaxPool2d(2), _TinyStage(c, norm, activation)) for c in partial]
        stages.append(nn.Sequential(nn.MaxPool2d(2), conv(last, last)))
        super().__init__(
            stages=stages, channels=list(_CHANNELS), levels=levels, frozen_stages=frozen_stages
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) to one map (B, C_l, H / stride, W / stride) per level."""
        stage_maps = super().forward(images)
        return [
            features[:, -spec.channels :]
            for features, spec in zip(stage_maps, self.feature_specs, strict=True)
        ]

    @staticmethod
    def pixel_statistics(
        arguments: Mapping[str, Any],
    ) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and deviation, in 0..255: Darknet's weights expect pixels from 0 to 1."""
        return DARKNET_PIXELS


class _TinyStage(nn.Module):
    """(B, C, H, W) to (B, 2 C, H, W): a convolution, then those of its second half of channels."""

    def __init__(self, channels: int, norm: Norm, activation: Activation) -> None:
        super().__init__()
        half = channels // 2

        def conv(before: int, after: int, kernel_size: int = 3) -> ConvBlock:
            return ConvBlock(
                before, after, kernel_size=kernel_size, norm=norm, activation=activation
            )

        self.entry = conv(channels, channels)
        self.first = conv(half, half)
        self.second = conv(half, half)
        self.join = conv(channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        entry = self.entry(features)
        first = self.first(entry.chunk(2, dim=1)[1])
        joined = self.join(torch.cat([self.second(first), first], dim=1))
        return torch.cat([entry, joined], dim=1)
