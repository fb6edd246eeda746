"""Residual Attention Networks."""

from __future__ import annotations

from typing import Literal

from torch import nn

from detkit.backbones.staged import FrozenStages, Levels, StagedBackbone
from detkit.layers import ConvBlock, MaskedAttention, PreactivatedBottleneck
from detkit.layers.norm import make_norm
from detkit.registry import register

_CHANNELS = [64, 256, 512, 1024, 2048]
_POOLINGS = (3, 2, 1)  # of the masks at strides 4, 8 and 16
_LAST_BLOCKS = 3
_Norm = Literal["batch", "frozen_batch", "group"]


@register("backbone", "residual_attention56")
class ResidualAttention56(StagedBackbone):
    """Residual Attention-56: residual stages with attention masks of the whole map.

    Paper: Residual Attention Network for Image Classification (Wang et al., 2017),
    https://arxiv.org/abs/1704.06904
    """

    def __init__(
        self,
        *,
        norm: _Norm = "batch",
        frozen_stages: FrozenStages = 0,
        levels: Levels = (3, 4, 5),
    ) -> None:
        """Build the network.

        Args:
            norm: Normalisation before each convolution.
            frozen_stages: Number of frozen stages, from the input; the first has stride 2.
            levels: Output levels, fine to coarse; level l has stride 2**l.
        """
        super().__init__(
            stages=_stages((1, 1, 1), norm),
            channels=_CHANNELS,
            levels=levels,
            frozen_stages=frozen_stages,
        )


@register("backbone", "residual_attention92")
class ResidualAttention92(StagedBackbone):
    """Residual Attention-92: residual stages with attention masks of the whole map.

    Paper: Residual Attention Network for Image Classification (Wang et al., 2017),
    https://arxiv.org/abs/1704.06904
    """

    def __init__(
        self,
        *,
        norm: _Norm = "batch",
        frozen_stages: FrozenStages = 0,
        levels: Levels = (3, 4, 5),
    ) -> None:
        """Build the network.

        Args:
            norm: Normalisation before each convolution.
            frozen_stages: Number of frozen stages, from the input; the first has stride 2.
            levels: Output levels, fine to coarse; level l has stride 2**l.
        """
        super().__init__(
            stages=_stages((1, 2, 3), norm),
            channels=_CHANNELS,
            levels=levels,
            frozen_stages=frozen_stages,
        )


def _stages(modules: tuple[int, int, int], norm: _Norm) -> list[nn.Module]:
    """The five stages, with a number of attention modules at strides 4, 8 and 16."""
    stages: list[nn.Module] = [ConvBlock(3, _CHANNELS[0], kernel_size=7, stride=2, norm=norm)]
    for index, (count, poolings) in enumerate(zip(modules, _POOLINGS, strict=True), start=1):
        before, channels, first = _CHANNELS[index - 1], _CHANNELS[index], index == 1
        stage = nn.Sequential(nn.MaxPool2d(3, 2, 1)) if first else nn.Sequential()
        stage.append(PreactivatedBottleneck(before, channels, norm=norm, stride=1 if first else 2))
        for _ in range(count):
            stage.append(MaskedAttention(channels, poolings=poolings, norm=norm))
        stages.append(stage)
    before, channels = _CHANNELS[-2:]
    last = nn.Sequential(PreactivatedBottleneck(before, channels, norm=norm, stride=2))
    for _ in range(_LAST_BLOCKS - 1):
        last.append(PreactivatedBottleneck(channels, channels, norm=norm))
    last.append(make_norm(norm, channels)).append(nn.ReLU())
    return [*stages, last]
