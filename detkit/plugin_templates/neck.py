"""A neck: combines feature levels."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from detkit import Wired, register
from detkit.layers import ConvBlock, uniform_convolutions
from detkit.registry import PositiveInt
from detkit.structures import FeatureSpec


@register("neck", "my_neck")
class MyNeck(nn.Module):
    """Applies a 1x1 convolution to each level, and adds the coarsest level to all finer ones.

    Args:
        out_channels: Channels of each output level.
    """

    def __init__(
        self, *, feature_specs: Wired[list[FeatureSpec]], out_channels: PositiveInt = 64
    ) -> None:
        super().__init__()
        self.project = nn.ModuleList(
            ConvBlock(spec.channels, out_channels, kernel_size=1, norm="group")
            for spec in feature_specs
        )
        uniform_convolutions(self)
        # The output levels, fine to coarse; the parts after the neck are built from them.
        self.feature_specs = [FeatureSpec(out_channels, spec.stride) for spec in feature_specs]

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Combine L maps (B, C_l, H_l, W_l), fine to coarse, into (B, out_channels, H_l, W_l)."""
        maps = [project(level) for project, level in zip(self.project, features, strict=True)]
        coarsest = maps[-1]
        finer = [level + F.interpolate(coarsest, size=level.shape[-2:]) for level in maps[:-1]]
        return [*finer, coarsest]
