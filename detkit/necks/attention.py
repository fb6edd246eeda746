"""Attention as a neck, for any backbone: in a `sequence`, before the neck that mixes levels.

Blocks that keep a map's shape need no place inside a backbone, so they are no option of each one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

from annotated_types import Interval
from torch import Tensor, nn
from torchvision.ops import SqueezeExcitation

from detkit.errors import UserError
from detkit.layers.attention import CBAM, PointwiseAttention
from detkit.registry import PositiveInt, Wired, register
from detkit.structures import FeatureSpec

Levels = tuple[Annotated[int, Interval(ge=1, le=10)], ...]


class _PerLevel(nn.Module):
    """A block for each chosen level; the others pass."""

    def __init__(
        self,
        neck: str,
        feature_specs: list[FeatureSpec],
        levels: Levels | None,
        build: Callable[[int], nn.Module],
    ) -> None:
        super().__init__()
        found = [spec.stride.bit_length() - 1 for spec in feature_specs]
        chosen = found if levels is None else list(levels)
        missing = sorted(set(chosen) - set(found))
        if missing or not chosen:
            raise UserError(
                f"neck '{neck}' is to work on levels {chosen}, and levels {found} come in: list "
                "one or more of these in its `levels`, or null for all."
            )
        self.feature_specs = list(feature_specs)
        self.blocks = nn.ModuleList(
            build(spec.channels) if level in chosen else nn.Identity()
            for level, spec in zip(found, feature_specs, strict=True)
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """L maps to L maps of the same shapes."""
        return [block(level) for block, level in zip(self.blocks, features, strict=True)]


@register("neck", "se")
class SEAttention(_PerLevel):
    """Squeeze and excitation: weighs the channels of each level by what the whole map holds.

    Paper: Squeeze-and-Excitation Networks (Hu et al., 2018), https://arxiv.org/abs/1709.01507

    Args:
        reduction: How many times fewer channels the hidden layer has.
        levels: Levels to work on, level l has stride 2**l; null for all.
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        reduction: PositiveInt = 16,
        levels: Levels | None = None,
    ) -> None:
        def build(channels: int) -> nn.Module:
            block: nn.Module = SqueezeExcitation(channels, max(channels // reduction, 1))
            return block

        super().__init__("se", feature_specs, levels, build)


@register("neck", "cbam")
class CBAMAttention(_PerLevel):
    """Convolutional block attention: weighs the channels of each level, then its places.

    Paper: CBAM: Convolutional Block Attention Module (Woo et al., 2018),
    https://arxiv.org/abs/1807.06521

    Args:
        reduction: How many times fewer channels the hidden layer has.
        kernel_size: Side of the convolution that weighs places.
        levels: Levels to work on, level l has stride 2**l; null for all.
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        reduction: PositiveInt = 16,
        kernel_size: Literal[3, 5, 7] = 7,
        levels: Levels | None = None,
    ) -> None:
        def build(channels: int) -> nn.Module:
            hidden = max(channels // reduction, 1)
            return CBAM(channels, hidden_channels=hidden, kernel_size=kernel_size)

        super().__init__("cbam", feature_specs, levels, build)


@register("neck", "sam")
class SAMAttention(_PerLevel):
    """The spatial attention of YOLOv4: weighs each value by a 1x1 convolution of its place.

    Paper: YOLOv4: Optimal Speed and Accuracy of Object Detection (Bochkovskiy et al., 2020),
    section 3.3, https://arxiv.org/abs/2004.10934

    Args:
        norm: Normalisation after the convolution.
        levels: Levels to work on, level l has stride 2**l; null for all.
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        norm: Literal["none", "batch", "group"] = "batch",
        levels: Levels | None = None,
    ) -> None:
        super().__init__("sam", feature_specs, levels, partial(PointwiseAttention, norm=norm))
