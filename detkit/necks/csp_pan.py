"""The path aggregation network of YOLOv5 and Scaled-YOLOv4."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal, NamedTuple

import torch
from annotated_types import MinLen
from torch import Tensor, nn
from torch.nn import functional as F

from detkit.errors import UserError
from detkit.layers import (
    STAGES,
    Activation,
    ConvBlock,
    CSPStage,
    SplitStage,
    StageKind,
    set_batch_norms,
)
from detkit.necks.extra_levels import crop, require_doubling
from detkit.registry import Fraction, PositiveFloat, PositiveInt, Wired, register
from detkit.structures import FeatureSpec

_Norm = Literal["none", "batch", "cmbn", "group"]


class ConvStyle(NamedTuple):
    """What all convolutions of the neck share: norm, activation and the kind of their stages."""

    norm: _Norm
    activation: Activation
    stage: StageKind = "c3"
    shortcut: bool = False

    def conv(self, before: int, after: int, kernel_size: int, stride: int = 1) -> ConvBlock:
        """A convolution from `before` to `after` channels."""
        return ConvBlock(
            before,
            after,
            kernel_size=kernel_size,
            stride=stride,
            norm=self.norm,
            activation=self.activation,
        )

    def join(self, before: int, after: int, blocks: int) -> CSPStage | SplitStage:
        """The stage that merges two concatenated maps."""
        return STAGES[self.stage](
            before,
            after,
            blocks=blocks,
            norm=self.norm,
            activation=self.activation,
            shortcut=self.shortcut,
        )


@register("neck", "csp_pan")
class CSPPAN(nn.Module):
    """Top-down, then bottom-up fusion with cross-stage partial blocks.

    Paper: Path Aggregation Network for Instance Segmentation (Liu et al., 2018),
    https://arxiv.org/abs/1803.01534; with CSP blocks in Scaled-YOLOv4 (Wang et al., 2020),
    https://arxiv.org/abs/2011.08036

    Args:
        feature_specs: The input levels.
        blocks: Residual blocks per fusion: 3 times YOLOv5's depth factor.
        width: Factor on the channels of each level: 1 in YOLOv5, 0.5 in YOLOv4. A list has one for
            each level, fine to coarse: [0.5, 1, 1] in YOLO11.
        norm: Normalisation after each convolution.
        activation: Function after each normalisation.
        stage: How a fusion joins its blocks: `c3` as in YOLOv5, `c2f` as in YOLOv8, `c3k2` or
            `c3k2_nested` as in YOLO11.
        coarsest_stage: The same for the coarsest output; null takes `stage`.
        shortcut: Whether the blocks add their input, as in YOLO11.
        narrows: Whether a 1x1 convolution brings each coarse map to the channels of the next
            finer one before it is fused, as in YOLOv5; YOLOv8 has none.
        norm_eps: Added to the variance in batch norms.
        norm_momentum: Share of a batch in the running statistics.

    Raises:
        UserError: There is only one level or a gap between levels, or `width` has another number
            of levels.
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        blocks: PositiveInt = 3,
        width: PositiveFloat | Annotated[tuple[PositiveFloat, ...], MinLen(1)] = 1.0,
        norm: _Norm = "batch",
        activation: Activation = "silu",
        stage: StageKind = "c3",
        coarsest_stage: StageKind | None = None,
        shortcut: bool = False,
        narrows: bool = True,
        norm_eps: PositiveFloat = 1e-5,
        norm_momentum: Fraction = 0.1,
    ) -> None:
        super().__init__()
        _require_levels(feature_specs)
        in_channels = [spec.channels for spec in feature_specs]
        out_channels = _scaled(in_channels, width)

        style = ConvStyle(norm, activation, stage, shortcut)
        coarsest = style._replace(stage=coarsest_stage or stage)
        pairs = list(pairwise(out_channels))  # each level and the next coarser one
        above = [*out_channels[1:-1], in_channels[-1]]
        from_above = [fine for fine, _ in pairs] if narrows else above
        self.lateral = nn.ModuleList(
            style.conv(coarse, fine, 1) if narrows else nn.Identity()
            for coarse, (fine, _) in zip(above, pairs, strict=True)
        )
        self.upward = nn.ModuleList(
            style.join(coarse + level_channels, fine, blocks)
            for coarse, level_channels, (fine, _) in zip(
                from_above, in_channels[:-1], pairs, strict=True
            )
        )
        self.halving = nn.ModuleList(style.conv(fine, fine, 3, stride=2) for fine, _ in pairs)
        styles = [*[style] * (len(pairs) - 1), coarsest]
        self.downward = nn.ModuleList(
            joining.join(fine + narrowed, coarse, blocks)
            for joining, narrowed, (fine, coarse) in zip(styles, from_above, pairs, strict=True)
        )
        self.feature_specs = [
            FeatureSpec(channels, spec.stride)
            for channels, spec in zip(out_channels, feature_specs, strict=True)
        ]
        set_batch_norms(self, eps=norm_eps, momentum=norm_momentum)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Maps (B, C_l, H_l, W_l) to maps (B, C_l * width, H_l, W_l)."""
        narrowed: list[Tensor] = []  # coarser levels with the channels of the next finer one
        merged = features[-1]
        for level in range(len(features) - 2, -1, -1):
            narrowed.insert(0, self.lateral[level](merged))
            size = features[level].shape[-2:]
            coarse = F.interpolate(narrowed[0], size=size, mode="nearest")
            merged = self.upward[level](torch.cat([coarse, features[level]], dim=1))
        maps = [merged]
        for level, coarse in enumerate(narrowed):
            size = coarse.shape[-2:]
            fine = crop(self.halving[level](maps[-1]), (size[0], size[1]))
            maps.append(self.downward[level](torch.cat([fine, coarse], dim=1)))
        return maps


def _require_levels(specs: list[FeatureSpec]) -> None:
    """Refuse a single level, and gaps between levels.

    Raises:
        UserError: The levels cannot be fused.
    """
    if len(specs) == 1:
        raise UserError(
            f"neck 'csp_pan' fuses levels, but its input has only one (stride {specs[0].stride}): "
            "list more in model.backbone.levels."
        )
    require_doubling("csp_pan", specs)


def _scaled(channels: list[int], width: float | tuple[float, ...]) -> list[int]:
    """The output channels of each level.

    Raises:
        UserError: `width` lists factors for another number of levels.
    """
    factors = width if isinstance(width, tuple) else (width,) * len(channels)
    if len(factors) != len(channels):
        raise UserError(
            f"neck 'csp_pan': `width` has {len(factors)} values, but the input has "
            f"{len(channels)} levels: list one value for each, fine to coarse, or a single number "
            "for all."
        )
    return [max(2, round(count * factor)) for count, factor in zip(channels, factors, strict=True)]
