"""Feature pyramid network."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from detkit.errors import UserError
from detkit.layers.conv import ConvBlock
from detkit.layers.initialisation import uniform_convolutions
from detkit.necks.extra_levels import Extra, ExtraLevels, require_levels
from detkit.registry import PositiveInt, Wired, register
from detkit.structures import FeatureSpec


@register("neck", "fpn")
class FPN(nn.Module):
    """Top-down fusion: adds coarse levels to finer ones; all get the same number of channels.

    Paper: Feature Pyramid Networks for Object Detection (Lin et al., 2017),
    https://arxiv.org/abs/1612.03144
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        out_channels: PositiveInt = 256,
        extra: Extra = "p6p7_on_p5",
        norm: Literal["none", "batch", "group"] = "none",
        min_levels: PositiveInt = 3,
        finest: PositiveInt | None = None,
        relu_before_extra: bool = True,
    ) -> None:
        """Build the pyramid.

        Args:
            feature_specs: The input levels.
            out_channels: Channels of each output level.
            extra: Coarser levels to add: `pool` one by subsampling, `p6p7_on_p5` two by
                convolutions on the pyramid's coarsest level (FCOS, ATSS), `p6p7_on_c5` on the
                backbone's (the RetinaNet paper).
            norm: Normalisation after each convolution.
            min_levels: Minimum number of levels from the backbone.
            finest: Return only so many of the finest levels, into which all levels are fused; needs
                `extra` none. Null returns all.
            relu_before_extra: Whether P7 sees only the positive part of P6, as in the papers.

        Raises:
            UserError: There are too few input levels, or `finest` drops the extra levels.
        """
        super().__init__()
        require_levels("fpn", feature_specs, min_levels)
        if finest is not None and extra != "none":
            raise UserError(
                f"neck 'fpn': finest={finest} drops the coarse levels that extra={extra} adds: set "
                "extra=none, or finest=null."
            )
        self.lateral = nn.ModuleList(
            ConvBlock(spec.channels, out_channels, kernel_size=1, norm=norm, activation="none")
            for spec in feature_specs
        )
        returned = feature_specs[:finest]
        self.output = nn.ModuleList(
            ConvBlock(out_channels, out_channels, norm=norm, activation="none") for _ in returned
        )
        coarsest = feature_specs[-1].channels
        self.extra = ExtraLevels(
            extra, channels=out_channels, input_channels=coarsest, relu_before_p7=relu_before_extra
        )
        uniform_convolutions(self)
        self.feature_specs = self.extra.specs(returned, out_channels)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Maps (B, C_l, H_l, W_l) to maps (B, out_channels, H_l, W_l), extra levels included."""
        merged = [lateral(level) for lateral, level in zip(self.lateral, features, strict=True)]
        for fine in range(len(merged) - 2, -1, -1):
            size = merged[fine].shape[-2:]  # an odd map rules out a fixed factor
            merged[fine] = merged[fine] + F.interpolate(merged[fine + 1], size=size, mode="nearest")
        pyramid = [output(level) for output, level in zip(self.output, merged, strict=False)]
        return [*pyramid, *self.extra(pyramid[-1], features[-1])]
