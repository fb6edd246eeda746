"""Darknet-53, and its cross-stage partial variant."""

from __future__ import annotations

from typing import Literal

from torch import nn

from detkit.backbones.staged import FrozenStages, Levels, StagedBackbone
from detkit.layers import Activation, ConvBlock, CSPStage, Residual
from detkit.registry import register

_STEM = 32  # channels of the first convolution; each stage doubles them
_BLOCKS = (1, 2, 8, 8, 4)  # residual blocks of each stage: 53 layers with the classifier
_CHANNELS = [_STEM * 2**stage for stage in range(1, len(_BLOCKS) + 1)]
Norm = Literal["batch", "cmbn", "frozen_batch", "group"]


@register("backbone", "darknet53")
class Darknet53(StagedBackbone):
    """Darknet-53, the residual network of YOLOv3.

    Paper: YOLOv3: An Incremental Improvement (Redmon and Farhadi, 2018),
    https://arxiv.org/abs/1804.02767
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
        stages = []
        for level, (channels, blocks) in enumerate(zip(_CHANNELS, _BLOCKS, strict=True)):
            layers = _halving(level, channels, norm, activation)
            layers += [
                Residual(channels, inner_channels=channels // 2, norm=norm, activation=activation)
                for _ in range(blocks)
            ]
            stages.append(nn.Sequential(*layers))
        super().__init__(
            stages=stages, channels=_CHANNELS, levels=levels, frozen_stages=frozen_stages
        )


@register("backbone", "csp_darknet53")
class CSPDarknet53(StagedBackbone):
    """CSPDarknet-53, the network of YOLOv4: half of each stage's channels bypass its blocks.

    Paper: YOLOv4: Optimal Speed and Accuracy of Object Detection (Bochkovskiy et al., 2020),
    https://arxiv.org/abs/2004.10934
    """

    def __init__(
        self,
        *,
        norm: Norm = "batch",
        activation: Activation = "mish",
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
        stages = []
        for level, (channels, blocks) in enumerate(zip(_CHANNELS, _BLOCKS, strict=True)):
            first = level == 0  # its channels are duplicated, not split
            stage = CSPStage(
                channels,
                channels,
                blocks=blocks,
                norm=norm,
                activation=activation,
                half_channels=channels if first else channels // 2,
                inner_channels=channels // 2,
                transition=True,
            )
            stages.append(nn.Sequential(*_halving(level, channels, norm, activation), stage))
        super().__init__(
            stages=stages, channels=_CHANNELS, levels=levels, frozen_stages=frozen_stages
        )


def _halving(level: int, channels: int, norm: Norm, activation: Activation) -> list[nn.Module]:
    """The convolution that starts a stage; level 0 also gets the stem before it."""
    before = channels // 2
    down = ConvBlock(before, channels, stride=2, norm=norm, activation=activation)
    return [down] if level else [ConvBlock(3, _STEM, norm=norm, activation=activation), down]
