"""Darknet-19, the network of YOLOv2, and its tiny variant."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from torch import nn

from detkit.backbones.darknet import Norm
from detkit.backbones.staged import FrozenStages, Levels, StagedBackbone
from detkit.layers import Activation, ConvBlock
from detkit.registry import register

# Output channels of the convolutions of each stage. Kernels of 3 and 1 cells alternate.
_STAGES = (
    (64,),
    (128, 64, 128),
    (256, 128, 256),
    (512, 256, 512, 256, 512),
    (1024, 512, 1024, 512, 1024),
)
_STEM = 32
DARKNET_PIXELS = (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)


@register("backbone", "darknet19")
class Darknet19(StagedBackbone):
    """Darknet-19, the network of YOLOv2; a max pool starts each stage.

    Paper: YOLO9000: Better, Faster, Stronger (Redmon and Farhadi, 2017), table 6,
    https://arxiv.org/abs/1612.08242
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
        stages, channels = [], 3
        for widths in _STAGES:
            layers: list[nn.Module] = []
            if channels == 3:  # noqa: PLR2004  # of the image
                layers.append(ConvBlock(3, _STEM, norm=norm, activation=activation))
                channels = _STEM
            layers.append(nn.MaxPool2d(2))
            for index, (before, after) in enumerate(pairwise((channels, *widths))):
                size = 1 if index % 2 else 3
                layers.append(
                    ConvBlock(before, after, kernel_size=size, norm=norm, activation=activation)
                )
            stages.append(nn.Sequential(*layers))
            channels = widths[-1]
        super().__init__(
            stages=stages,
            channels=[widths[-1] for widths in _STAGES],
            levels=levels,
            frozen_stages=frozen_stages,
        )

    @staticmethod
    def pixel_statistics(
        arguments: Mapping[str, Any],
    ) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and deviation, in 0..255: Darknet's weights expect pixels from 0 to 1."""
        return DARKNET_PIXELS


_TINY_CHANNELS = (32, 64, 128, 256, 1024)


@register("backbone", "darknet_tiny")
class TinyDarknet(StagedBackbone):
    """The network of the tiny YOLOv2 and YOLOv3: seven 3x3 convolutions with max pools between.

    Paper: YOLO9000: Better, Faster, Stronger (Redmon and Farhadi, 2017),
    https://arxiv.org/abs/1612.08242; layout of yolov2-tiny.cfg in Darknet
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

        def conv(before: int, after: int) -> nn.Module:
            return ConvBlock(before, after, norm=norm, activation=activation)

        stages = [nn.Sequential(conv(3, 16), nn.MaxPool2d(2), conv(16, 32))]
        stages += [
            nn.Sequential(nn.MaxPool2d(2), conv(before, 2 * before)) for before in (32, 64, 128)
        ]
        # The last pool has stride 1. Repeating the last row and column keeps the size.
        same_size = nn.Sequential(nn.ReplicationPad2d((0, 1, 0, 1)), nn.MaxPool2d(2, stride=1))
        stages.append(nn.Sequential(nn.MaxPool2d(2), conv(256, 512), same_size, conv(512, 1024)))
        super().__init__(
            stages=stages,
            channels=list(_TINY_CHANNELS),
            levels=levels,
            frozen_stages=frozen_stages,
        )

    @staticmethod
    def pixel_statistics(
        arguments: Mapping[str, Any],
    ) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and deviation, in 0..255: Darknet's weights expect pixels from 0 to 1."""
        return DARKNET_PIXELS
