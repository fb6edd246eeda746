"""DetNet-59: a residual network that keeps stride 16 in its last stages."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Interval, MinLen
from torch import nn

from detkit.backbones.staged import StagedBackbone
from detkit.layers import Bottleneck, ConvBlock
from detkit.registry import register

_STAGES = 6
_Levels = Annotated[tuple[Annotated[int, Interval(ge=1, le=_STAGES)], ...], MinLen(1)]
_Frozen = Annotated[int, Interval(ge=0, le=_STAGES)]
_Norm = Literal["batch", "frozen_batch", "group"]
_CHANNELS = [64, 256, 512, 1024, 1024, 1024]
_STRIDES = [2, 4, 8, 16, 16, 16]
_BLOCKS = [3, 4, 6]  # of stages 2 to 4, as in ResNet-50
_DILATED_BLOCKS = 3
_DILATED_INNER = 256


@register("backbone", "detnet59")
class DetNet59(StagedBackbone):
    """DetNet-59: ResNet-50 up to stride 16, then two dilated stages that keep it.

    Its levels 4, 5 and 6 all have stride 16, so large objects keep exact edges.

    Paper: DetNet: A Backbone network for Object Detection (Li et al., 2018),
    https://arxiv.org/abs/1804.06215
    """

    def __init__(
        self,
        *,
        norm: _Norm = "batch",
        frozen_stages: _Frozen = 0,
        levels: _Levels = (2, 3, 4, 5, 6),
    ) -> None:
        """Build the network.

        Args:
            norm: Normalisation after each convolution.
            frozen_stages: Number of frozen stages, from the input; the first has stride 2.
            levels: Output levels, fine to coarse, of strides 2, 4, 8, 16, 16 and 16.
        """
        stem = ConvBlock(3, _CHANNELS[0], kernel_size=7, stride=2, norm=norm)
        stages: list[nn.Module] = [stem]
        for index, blocks in enumerate(_BLOCKS, start=1):
            stages.append(_residual_stage(index, blocks, norm))
        for _ in range(_STAGES - len(stages)):
            stages.append(_dilated_stage(norm))
        super().__init__(
            stages=stages,
            channels=_CHANNELS,
            levels=levels,
            frozen_stages=frozen_stages,
            strides=_STRIDES,
        )


def _residual_stage(index: int, blocks: int, norm: _Norm) -> nn.Sequential:
    """Bottlenecks of ResNet-50; max-pooling halves the map before the first stage."""
    before, channels = _CHANNELS[index - 1], _CHANNELS[index]
    first = index == 1
    stage = nn.Sequential(nn.MaxPool2d(3, 2, 1)) if first else nn.Sequential()
    for block in range(blocks):
        stage.append(
            Bottleneck(
                channels if block else before,
                channels // 4,
                channels,
                norm=norm,
                stride=1 if block or first else 2,
                projects=block == 0,
            )
        )
    return stage


def _dilated_stage(norm: _Norm) -> nn.Sequential:
    """A dilated bottleneck with a projection, then two without."""
    channels = _CHANNELS[-1]
    return nn.Sequential(
        *(
            Bottleneck(
                channels, _DILATED_INNER, channels, norm=norm, dilation=2, projects=block == 0
            )
            for block in range(_DILATED_BLOCKS)
        )
    )
