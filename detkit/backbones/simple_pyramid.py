"""A pyramid of levels from one map, for transformers without stages."""

from __future__ import annotations

import math
from typing import Annotated

from annotated_types import Interval, MinLen
from timm.layers.norm import LayerNorm2d
from torch import Tensor, nn

from detkit.errors import UserError
from detkit.interfaces import Backbone
from detkit.ops.network_blocks import NetworkBlock, inner_blocks
from detkit.registry import PositiveInt, Slot, register
from detkit.structures import FeatureSpec

_Levels = Annotated[tuple[Annotated[int, Interval(ge=1, le=7)], ...], MinLen(1)]
_COARSER, _FINER = 1, 2  # levels below and above the map's own


@register("backbone", "simple_pyramid")
class SimplePyramid(nn.Module):
    """Levels of strides 4 to 32 from the last map of another backbone, such as a ViT of stride 16.

    Paper: Exploring Plain Vision Transformer Backbones for Object Detection (Li et al., 2022),
    section 3, https://arxiv.org/abs/2203.16527

    Each level comes from the same map: by transposed convolutions (finer), as it is, or by
    max-pooling (coarser), followed by a 1x1 and a 3x3 convolution with layer norms. As in the
    authors' code, a map that becomes four times as large has a norm and GELU in between.
    """

    def __init__(
        self,
        *,
        backbone: Annotated[
            Backbone, Slot("backbone", "timm", {"model": "vit_small_patch16_224", "levels": (4,)})
        ],
        levels: _Levels = (3, 4, 5),
        out_channels: PositiveInt = 256,
    ) -> None:
        """Build the pyramid.

        Args:
            backbone: The backbone, with one level.
            levels: Output levels, fine to coarse; level l has stride 2**l. The finest is two levels
                finer than the backbone's, the coarsest one coarser.
            out_channels: Channels of each level.

        Raises:
            UserError: The backbone has several levels, or a level is out of reach.
        """
        super().__init__()
        if len(backbone.feature_specs) != 1:
            raise UserError(
                f"simple_pyramid needs a backbone with one level, got "
                f"{len(backbone.feature_specs)}: list one in the backbone's `levels`, such as [4]."
            )
        (spec,) = backbone.feature_specs
        middle = round(math.log2(spec.stride))
        reach = range(middle - _FINER, middle + _COARSER + 1)
        if list(levels) != sorted(set(levels)) or not set(levels) <= set(reach):
            raise UserError(
                f"simple_pyramid makes levels {list(reach)} from a map of stride {spec.stride}, "
                f"got {list(levels)}: list some of them in `levels`, each once, fine to coarse."
            )
        self.backbone = backbone
        self.branches = nn.ModuleList(
            _branch(spec.channels, middle - level, out_channels) for level in levels
        )
        self.feature_specs = [FeatureSpec(out_channels, 2**level) for level in levels]

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) to one map (B, C, H / stride, W / stride), rounded up, per level."""
        (features,) = self.backbone(images)
        maps = []
        for branch, spec in zip(self.branches, self.feature_specs, strict=True):
            rows, columns = (-(-side // spec.stride) for side in images.shape[-2:])
            maps.append(branch(features)[..., :rows, :columns])
        return maps

    def ordered_blocks(self) -> list[NetworkBlock]:
        """The blocks of the other backbone; the pyramid is in none."""
        return inner_blocks(self.backbone, "backbone")


def _branch(channels: int, finer: int, out_channels: int) -> nn.Sequential:
    """The layers of a level that is 2**finer times as large as the map."""
    layers: list[nn.Module] = []
    for step in range(finer):
        if step:
            layers += [LayerNorm2d(channels), nn.GELU()]
        layers.append(nn.ConvTranspose2d(channels, channels // 2, 2, stride=2))
        channels //= 2
    if finer < 0:
        layers.append(nn.MaxPool2d(2, stride=2, ceil_mode=True))
    layers += [nn.Conv2d(channels, out_channels, 1, bias=False), LayerNorm2d(out_channels)]
    layers.append(nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False))
    return nn.Sequential(*layers, LayerNorm2d(out_channels))
