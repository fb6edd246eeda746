"""The network of the first YOLO."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from torch import nn

from detkit.backbones.darknet import Norm
from detkit.backbones.darknet19 import DARKNET_PIXELS
from detkit.backbones.staged import FrozenStages, Levels, StagedBackbone
from detkit.layers import Activation, ConvBlock
from detkit.registry import register

# (kernel, output channels) of the convolutions of each stage.
_STAGES: tuple[tuple[tuple[int, int], ...], ...] = (
    ((7, 64),),
    ((3, 192),),
    ((1, 128), (3, 256), (1, 256), (3, 512)),
    (*((1, 256), (3, 512)) * 4, (1, 512), (3, 1024)),
    ((1, 512), (3, 1024)) * 2,
)


@register("backbone", "yolov1")
class YOLOv1Network(StagedBackbone):
    """The 20 convolutions of the first YOLO that its authors pretrained, inspired by GoogLeNet.

    A max pool starts each stage after the first. The paper has no batch norm; Darknet's
    configuration of the published weights has.

    Paper: You Only Look Once (Redmon et al., 2016), section 2.1 and figure 3,
    https://arxiv.org/abs/1506.02640
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
        stages: list[nn.Module] = []
        channels = 3
        for convs in _STAGES:
            layers: list[nn.Module] = [nn.MaxPool2d(2)] if stages else []
            widths = [channels, *(width for _, width in convs)]
            for (size, _), (before, after) in zip(convs, pairwise(widths), strict=True):
                layers.append(
                    ConvBlock(
                        before,
                        after,
                        kernel_size=size,
                        stride=1 if stages else 2,
                        norm=norm,
                        activation=activation,
                    )
                )
            stages.append(nn.Sequential(*layers))
            channels = widths[-1]
        super().__init__(
            stages=stages,
            channels=[convs[-1][1] for convs in _STAGES],
            levels=levels,
            frozen_stages=frozen_stages,
        )

    @staticmethod
    def pixel_statistics(
        arguments: Mapping[str, Any],
    ) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and deviation, in 0..255: Darknet's weights expect pixels from 0 to 1."""
        return DARKNET_PIXELS
