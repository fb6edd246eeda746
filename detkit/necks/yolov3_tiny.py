"""The neck of tiny YOLOv3 and tiny YOLOv4."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.nn import functional as F

from detkit.errors import UserError
from detkit.layers import Activation, ConvBlock
from detkit.registry import PositiveInt, Wired, register
from detkit.structures import FeatureSpec

_Norm = Literal["none", "batch", "cmbn", "group"]
Channels = Annotated[int, Ge(4)]


@register("neck", "yolov3_tiny")
class TinyYOLOv3Neck(nn.Module):
    """Top-down fusion with one 3x3 convolution for each level; needs no others in the head.

    A 1x1 convolution narrows the coarsest level for its own 3x3 convolution and for the next finer
    level.

    Paper: YOLOv3: An Incremental Improvement (Redmon and Farhadi, 2018),
    https://arxiv.org/abs/1804.02767; layout of yolov3-tiny.cfg and yolov4-tiny.cfg in Darknet
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        levels: PositiveInt = 2,
        channels: Channels = 256,
        norm: _Norm = "batch",
        activation: Activation = "leaky_relu",
    ) -> None:
        """Build the neck.

        Args:
            feature_specs: The input levels; only the coarsest ones are used.
            levels: Number of levels to use.
            channels: Channels of the narrowed coarsest level. Its output has twice as many, the
                next finer one as many, and each further one half of that.
            norm: Normalisation after each convolution.
            activation: Function after each normalisation.

        Raises:
            UserError: There are fewer levels.
        """
        super().__init__()
        _require_levels(feature_specs, levels)
        specs = feature_specs[-levels:]

        def conv(before: int, after: int, kernel_size: int) -> ConvBlock:
            return ConvBlock(
                before, after, kernel_size=kernel_size, norm=norm, activation=activation
            )

        self.entry = conv(specs[-1].channels, channels, 1)
        out_channels = [max(2, 2 * channels >> level) for level in range(levels)][::-1]
        sources = [*out_channels[1:-1], channels][: levels - 1]
        self.lateral = nn.ModuleList(conv(source, source // 2, 1) for source in sources)
        inputs = [
            spec.channels + source // 2 for spec, source in zip(specs[:-1], sources, strict=True)
        ]
        self.output = nn.ModuleList(
            conv(before, after, 3)
            for before, after in zip([*inputs, channels], out_channels, strict=True)
        )
        self.feature_specs = [
            FeatureSpec(after, spec.stride) for after, spec in zip(out_channels, specs, strict=True)
        ]

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Maps (B, C_l, H_l, W_l) to maps of the same sizes, of the coarsest levels."""
        source = self.entry(features[-1])
        outputs = [self.output[-1](source)]
        fine_levels = features[-len(self.output) : -1]
        levels = list(zip(fine_levels, self.lateral, self.output[:-1], strict=True))
        for fine, lateral, output in reversed(levels):
            coarse = F.interpolate(lateral(source), size=fine.shape[-2:], mode="nearest")
            source = output(torch.cat([coarse, fine], dim=1))
            outputs.insert(0, source)
        return outputs


def _require_levels(specs: list[FeatureSpec], levels: int) -> None:
    if len(specs) < levels:
        raise UserError(
            f"neck 'yolov3_tiny' needs {levels} feature levels, got {len(specs)}: list more in "
            f"model.backbone.levels, or set model.neck.levels={len(specs)} with as many levels in "
            "model.head.priors.sizes."
        )
