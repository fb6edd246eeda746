"""A neck: feature levels to feature levels."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from detkit import Wired, register
from detkit.layers import ConvBlock, uniform_convolutions
from detkit.registry import PositiveInt
from detkit.structures import FeatureSpec


@register("neck", "my_neck")
class MyNeck(nn.Module):
    """A 1x1 convolution on each level, and the coarsest level added to all finer ones.

    Args:
        out_channels: Channels of each level that goes out.
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
        # What goes out, fine to coarse: the parts after the neck are built by it.
        self.feature_specs = [FeatureSpec(out_channels, spec.stride) for spec in feature_specs]

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """L maps (B, C_l, H_l, W_l), fine to coarse, to L maps (B, out_channels, H_l, W_l)."""
        maps = [project(level) for project, level in zip(self.project, features, strict=True)]
        coarsest = maps[-1]
        finer = [level + F.interpolate(coarsest, size=level.shape[-2:]) for level in maps[:-1]]
        return [*finer, coarsest]
