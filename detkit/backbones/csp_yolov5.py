"""The cross-stage partial networks of YOLOv5, YOLOv8 and YOLOX in all sizes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import nn

from detkit.backbones.staged import FrozenStages, Levels, StagedBackbone
from detkit.layers import (
    STAGES,
    Activation,
    ConvBlock,
    ParallelPooling,
    StageKind,
    set_batch_norms,
)
from detkit.registry import Fraction, PositiveFloat, PositiveInt, register

_CHANNELS = (64, 128, 256, 512, 1024)
_MULTIPLE = 8  # channels are rounded up to a multiple of this
_POOLS = (5, 9, 13)


@register("backbone", "csp_yolov5")
class CSPYOLOv5(StagedBackbone):
    """The backbone of YOLOv5 (release 6), scaled by depth and width factors.

    Depth and width: n 0.33 and 0.25, s 0.33 and 0.5, m 0.67 and 0.75, l 1 and 1, x 1.33 and 1.25.
    Its spatial pyramid pooling is the neck `sppf`. YOLOv8 differs in `stem_size`, `stage`, `blocks`
    and `most_channels`, YOLOX in `pooled_last_stage`.

    Paper: CSPNet: A New Backbone that can Enhance Learning Capability of CNN (Wang et al., 2019),
    https://arxiv.org/abs/1911.11929

    Args:
        depth: Factor on the number of blocks of each stage.
        width: Factor on the channels of each stage.
        norm: Normalisation after each convolution.
        activation: Function after each normalisation.
        frozen_stages: Number of frozen stages, from the input; the first has stride 2.
        levels: Output levels, fine to coarse; level l has stride 2**l.
        stem_size: Side of the first convolution's kernel: 6 in YOLOv5, 3 in YOLOv8. YOLOX's
            first layer, a 3x3 convolution on four shifted copies, equals a 6x6 one.
        stage: How a stage joins its blocks: `c3` as in YOLOv5, `c2f` as in YOLOv8.
        blocks: Blocks of the stages of strides 4 to 32, before `depth`.
        most_channels: Limit of a stage's channels, before `width`.
        pooled_last_stage: Put spatial pyramid pooling before the last stage's blocks, which
            then add no input, as in YOLOX.
        norm_eps: Added to the variance in batch norms; 1e-3 in YOLOv5, YOLOv8 and YOLOX.
        norm_momentum: Share of a batch in the running statistics; 0.03 in the same three.
    """

    def __init__(
        self,
        *,
        depth: PositiveFloat = 1.0,
        width: PositiveFloat = 1.0,
        norm: Literal["batch", "cmbn", "frozen_batch", "group"] = "batch",
        activation: Activation = "silu",
        frozen_stages: FrozenStages = 0,
        levels: Levels = (3, 4, 5),
        stem_size: Literal[3, 6] = 6,
        stage: StageKind = "c3",
        blocks: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = (3, 6, 9, 3),
        most_channels: PositiveInt = 1024,
        pooled_last_stage: bool = False,
        norm_eps: PositiveFloat = 1e-5,
        norm_momentum: Fraction = 0.1,
    ) -> None:
        channels = rounded_channels(_CHANNELS, most_channels, width)
        stages: list[nn.Module] = [
            ConvBlock(
                3, channels[0], kernel_size=stem_size, stride=2, norm=norm, activation=activation
            )
        ]
        for number, (before, after) in enumerate(pairwise(channels), start=1):
            layers = nn.Sequential(
                ConvBlock(before, after, stride=2, norm=norm, activation=activation)
            )
            pools = pooled_last_stage and number == len(blocks)
            if pools:
                layers.append(
                    ParallelPooling(after, kernel_sizes=_POOLS, norm=norm, activation=activation)
                )
            layers.append(
                STAGES[stage](
                    after,
                    after,
                    blocks=max(1, round(blocks[number - 1] * depth)),
                    norm=norm,
                    activation=activation,
                    shortcut=not pools,
                )
            )
            stages.append(layers)
        super().__init__(
            stages=stages, channels=channels, levels=levels, frozen_stages=frozen_stages
        )
        set_batch_norms(self, eps=norm_eps, momentum=norm_momentum)


def rounded_channels(full: Sequence[int], most: int, width: float) -> list[int]:
    """The channels of each stage after the limit and the width, up to a multiple of 8."""
    return [-(-int(min(channels, most) * width) // _MULTIPLE) * _MULTIPLE for channels in full]
