"""Attention as a neck: use it in a `sequence`, before the neck that mixes levels.

Attention keeps the shape of a map, so as a neck it works with any backbone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

from annotated_types import Interval
from torch import Tensor, nn
from torchvision.ops import SqueezeExcitation

from detkit.errors import UserError
from detkit.layers import Activation, PartialAttention, set_batch_norms
from detkit.layers.attention import CBAM, PointwiseAttention
from detkit.registry import Fraction, PositiveFloat, PositiveInt, Wired, register
from detkit.structures import FeatureSpec

Levels = tuple[Annotated[int, Interval(ge=1, le=10)], ...]


class _PerLevel(nn.Module):
    """A block for each selected level; other levels pass through unchanged."""

    def __init__(
        self,
        neck: str,
        feature_specs: list[FeatureSpec],
        levels: Levels | None,
        build: Callable[[int], nn.Module],
    ) -> None:
        super().__init__()
        available = [spec.stride.bit_length() - 1 for spec in feature_specs]
        selected = available if levels is None else list(levels)
        missing = sorted(set(selected) - set(available))
        if missing or not selected:
            raise UserError(
                f"neck '{neck}': `levels` is {selected}, but the input has levels {available}: "
                "list one or more of these, or set it to null for all."
            )
        self.feature_specs = list(feature_specs)
        self.blocks = nn.ModuleList(
            build(spec.channels) if level in selected else nn.Identity()
            for level, spec in zip(available, feature_specs, strict=True)
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """L maps to L maps of the same shapes."""
        return [block(level) for block, level in zip(self.blocks, features, strict=True)]


@register("neck", "se")
class SEAttention(_PerLevel):
    """Squeeze and excitation: channel attention for each level.

    Paper: Squeeze-and-Excitation Networks (Hu et al., 2018), https://arxiv.org/abs/1709.01507

    Args:
        reduction: Factor by which the hidden layer has fewer channels.
        levels: Levels to apply it to; level l has stride 2**l. Null for all.
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
    """Convolutional block attention: channel, then spatial attention for each level.

    Paper: CBAM: Convolutional Block Attention Module (Woo et al., 2018),
    https://arxiv.org/abs/1807.06521

    Args:
        reduction: Factor by which the hidden layer has fewer channels.
        kernel_size: Kernel size of the spatial attention.
        levels: Levels to apply it to; level l has stride 2**l. Null for all.
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
    """YOLOv4's spatial attention by a 1x1 convolution, with one weight per value.

    Paper: YOLOv4: Optimal Speed and Accuracy of Object Detection (Bochkovskiy et al., 2020),
    section 3.3, https://arxiv.org/abs/2004.10934

    Args:
        norm: Normalisation after the convolution.
        levels: Levels to apply it to; level l has stride 2**l. Null for all.
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        norm: Literal["none", "batch", "group"] = "batch",
        levels: Levels | None = None,
    ) -> None:
        super().__init__("sam", feature_specs, levels, partial(PointwiseAttention, norm=norm))


@register("neck", "psa")
class PartialSelfAttention(nn.Module):
    """Self-attention between the cells of the coarsest level, on half of its channels.

    Its cost grows with the square of the number of cells, so finer levels pass through unchanged.

    Paper: YOLOv10: Real-Time End-to-End Object Detection (Wang et al., 2024), section 3.2,
    https://arxiv.org/abs/2405.14458; in this form in YOLO11

    Args:
        blocks: Attention blocks in a row: 1 in YOLO11 n, s and m, 2 in l and x.
        norm: Normalisation after each convolution.
        activation: Function after each normalisation outside attention.
        norm_eps: Added to the variance in batch norms.
        norm_momentum: Share of a batch in the running statistics.
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        blocks: PositiveInt = 1,
        norm: Literal["none", "batch", "cmbn", "group"] = "batch",
        activation: Activation = "silu",
        norm_eps: PositiveFloat = 1e-5,
        norm_momentum: Fraction = 0.1,
    ) -> None:
        super().__init__()
        self.feature_specs = list(feature_specs)
        self.attention = PartialAttention(
            feature_specs[-1].channels, blocks=blocks, norm=norm, activation=activation
        )
        set_batch_norms(self, eps=norm_eps, momentum=norm_momentum)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """L maps to L maps of the same shapes."""
        return [*features[:-1], self.attention(features[-1])]
