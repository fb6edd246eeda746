"""YOLOv5's cross-stage partial network in all sizes."""

from __future__ import annotations

from typing import Literal

from torch import nn

from detkit.backbones.staged import FrozenStages, Levels, StagedBackbone
from detkit.layers import Activation, ConvBlock, CSPStage
from detkit.registry import PositiveFloat, register

_CHANNELS = (64, 128, 256, 512, 1024)
_BLOCKS = (0, 3, 6, 9, 3)
_MULTIPLE = 8  # channels are rounded up to a multiple of this


@register("backbone", "csp_yolov5")
class CSPYOLOv5(StagedBackbone):
    """The backbone of YOLOv5 (release 6), scaled by depth and width factors.

    Depth and width: n 0.33 and 0.25, s 0.33 and 0.5, m 0.67 and 0.75, l 1 and 1, x 1.33 and 1.25.
    Its spatial pyramid pooling is the neck `sppf`.

    Paper: CSPNet: A New Backbone that can Enhance Learning Capability of CNN (Wang et al., 2019),
    https://arxiv.org/abs/1911.11929
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
    ) -> None:
        """Build the network.

        Args:
            depth: Factor on the number of blocks of each stage.
            width: Factor on the channels of each stage.
            norm: Normalisation after each convolution.
            activation: Function after each normalisation.
            frozen_stages: Number of frozen stages, from the input; the first has stride 2.
            levels: Output levels, fine to coarse; level l has stride 2**l.
        """
        channels = [-(-int(full * width) // _MULTIPLE) * _MULTIPLE for full in _CHANNELS]
        stages: list[nn.Module] = [
            ConvBlock(3, channels[0], kernel_size=6, stride=2, norm=norm, activation=activation)
        ]
        for stage in range(1, len(channels)):
            before, after = channels[stage - 1 : stage + 1]
            stages.append(
                nn.Sequential(
                    ConvBlock(before, after, stride=2, norm=norm, activation=activation),
                    CSPStage(
                        after,
                        after,
                        blocks=max(1, round(_BLOCKS[stage] * depth)),
                        norm=norm,
                        activation=activation,
                    ),
                )
            )
        super().__init__(
            stages=stages, channels=channels, levels=levels, frozen_stages=frozen_stages
        )
