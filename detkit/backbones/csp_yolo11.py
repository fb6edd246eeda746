"""The cross-stage partial network of YOLO11 in all sizes."""

from __future__ import annotations

from typing import Literal

from torch import nn

from detkit.backbones.csp_yolov5 import rounded_channels
from detkit.backbones.staged import FrozenStages, Levels, StagedBackbone
from detkit.layers import Activation, ConvBlock, SplitStage, set_batch_norms
from detkit.registry import Fraction, PositiveFloat, PositiveInt, register

_CONV_CHANNELS = (64, 128, 256, 512, 1024)  # after the convolution that halves the map
_STAGE_CHANNELS = (64, 256, 512, 512, 1024)
_BLOCKS = 2  # of each stage
_THIN_STAGES = (1, 2)  # a quarter of their channels, not half, passes through the blocks


@register("backbone", "csp_yolo11")
class CSPYOLO11(StagedBackbone):
    """The backbone of YOLO11, scaled by depth and width factors.

    Depth, width and `most_channels`: n 0.5, 0.25 and 1024, s 0.5, 0.5 and 1024, m 0.5, 1 and 512,
    l 1, 1 and 512, x 1, 1.5 and 512. Its spatial pyramid pooling and its attention are the necks
    `sppf` and `psa`.

    Paper: CSPNet: A New Backbone that can Enhance Learning Capability of CNN (Wang et al., 2019),
    https://arxiv.org/abs/1911.11929, for the stages; YOLO11 has no paper

    Args:
        depth: Factor on the number of blocks of each stage.
        width: Factor on the channels of each stage.
        most_channels: Limit of a stage's channels, before `width`.
        nested_stages: How many of the stages, from the coarsest, have CSP stages as blocks: 2 in n
            and s, 4 in m, l and x.
        norm: Normalisation after each convolution.
        activation: Function after each normalisation.
        frozen_stages: Number of frozen stages, from the input; the first has stride 2.
        levels: Output levels, fine to coarse; level l has stride 2**l.
        norm_eps: Added to the variance in batch norms.
        norm_momentum: Share of a batch in the running statistics.
    """

    def __init__(
        self,
        *,
        depth: PositiveFloat = 1.0,
        width: PositiveFloat = 1.0,
        most_channels: PositiveInt = 1024,
        nested_stages: Literal[0, 1, 2, 3, 4] = 2,
        norm: Literal["batch", "cmbn", "frozen_batch", "group"] = "batch",
        activation: Activation = "silu",
        frozen_stages: FrozenStages = 0,
        levels: Levels = (3, 4, 5),
        norm_eps: PositiveFloat = 0.001,
        norm_momentum: Fraction = 0.03,
    ) -> None:
        halved = rounded_channels(_CONV_CHANNELS, most_channels, width)
        channels = rounded_channels(_STAGE_CHANNELS, most_channels, width)
        stages: list[nn.Module] = [
            ConvBlock(3, halved[0], stride=2, norm=norm, activation=activation)
        ]
        for stage in range(1, len(channels)):
            stages.append(
                nn.Sequential(
                    ConvBlock(
                        channels[stage - 1],
                        halved[stage],
                        stride=2,
                        norm=norm,
                        activation=activation,
                    ),
                    SplitStage(
                        halved[stage],
                        channels[stage],
                        blocks=max(1, round(_BLOCKS * depth)),
                        norm=norm,
                        activation=activation,
                        half_channels=channels[stage] // (4 if stage in _THIN_STAGES else 2),
                        block="csp" if stage >= len(channels) - nested_stages else "narrow",
                    ),
                )
            )
        super().__init__(
            stages=stages, channels=channels, levels=levels, frozen_stages=frozen_stages
        )
        set_batch_norms(self, eps=norm_eps, momentum=norm_momentum)
