"""The extra levels of SSD and SSDlite."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import MinLen
from torch import Tensor, nn
from torch.nn import functional as F

from detkit.errors import UserError
from detkit.layers.conv import ConvBlock
from detkit.layers.initialisation import normal_convolutions, uniform_convolutions
from detkit.layers.mobile import MOBILE_STD, depthwise_conv, mobile_conv
from detkit.layers.norm import Norm, make_norm
from detkit.registry import PositiveInt, Wired, register
from detkit.structures import FeatureSpec

Shrinking = Literal["half", "less_two", "less_one"]
Channels = Annotated[tuple[PositiveInt, ...], MinLen(1)]
# Kernel, stride and padding of the convolution that shrinks a map.
_GEOMETRY: dict[Shrinking, tuple[int, int, int]] = {
    "half": (3, 2, 1),
    "less_two": (3, 1, 0),
    "less_one": (4, 1, 1),
}


class ExtraLevels(nn.Module):
    """Passes levels on and adds coarser ones, each computed from the one before."""

    def __init__(
        self, *, specs: list[FeatureSpec], added: list[tuple[nn.Module, FeatureSpec, int]]
    ) -> None:
        """Take built layers.

        Args:
            specs: The input levels.
            added: For each extra level its layers, its spec, and the minimum number of cells that
                its input needs along each side.
        """
        super().__init__()
        self.extra = nn.ModuleList(layers for layers, _, _ in added)
        self.feature_specs = [*specs, *(spec for _, spec, _ in added)]
        self._least_cells = [cells for _, _, cells in added]

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Maps (B, C_l, H_l, W_l), extra levels included.

        Raises:
            UserError: The images are too small for a level to have any cell.
        """
        levels = list(features)
        for layers, least in zip(self.extra, self._least_cells, strict=True):
            height, width = levels[-1].shape[-2:]
            if min(height, width) < least:
                raise UserError(self._too_small(len(levels), height, width))
            levels.append(layers(levels[-1]))
        return levels

    def _too_small(self, level: int, height: int, width: int) -> str:
        stride = self.feature_specs[level - 1].stride
        return (
            f"neck 'ssd_extra': level {level} has {height} x {width} cells (images of about "
            f"{height * stride} x {width * stride}), too few for level {level + 1}, which "
            "SSD's priors need: resize images to the model's size "
            "(`resize_exact` in the augmentation), or put `half` in model.neck.shrink."
        )


@register("neck", "ssd_extra")
class SSDExtra(ExtraLevels):
    """SSD's extra levels: a 1x1 and a 3x3 convolution per level.

    Paper: SSD: Single Shot MultiBox Detector (Liu et al., 2016), figure 2,
        https://arxiv.org/abs/1512.02325

    The defaults suit a backbone with two levels. With more input levels, the first entries of
    `channels` and `shrink` are skipped, so that the number of output levels stays the same.

    Args:
        levels: Total number of output levels.
        channels: Channels of each extra level.
        shrink: How each extra level shrinks its map: to `half`, by two cells (`less_two`, a
            convolution without padding, at the end of SSD300) or by one (`less_one`, SSD512).
        norm: Normalisation after each convolution.
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        levels: PositiveInt = 6,
        channels: Channels = (512, 256, 256, 256),
        shrink: tuple[Shrinking, ...] = ("half", "half", "half", "half"),
        norm: Norm = "none",
    ) -> None:
        if len(shrink) != len(channels):
            raise UserError(
                f"neck 'ssd_extra': `channels` lists {len(channels)} extra levels, but `shrink` "
                f"{len(shrink)}: list the same number in both."
            )
        count = _count_to_add("ssd_extra", levels, feature_specs, channels)
        added: list[tuple[nn.Module, FeatureSpec, int]] = []
        spec = feature_specs[-1]
        for out, kind in list(zip(channels, shrink, strict=True))[len(channels) - count :]:
            kernel, stride, padding = _GEOMETRY[kind]
            layers = _Shrinking(spec.channels, out, (kernel, stride, padding), norm)
            spec = FeatureSpec(out, spec.stride * stride)
            added.append((layers, spec, kernel - 2 * padding))
        super().__init__(specs=feature_specs, added=added)
        uniform_convolutions(self)


@register("neck", "ssdlite_extra")
class SSDliteExtra(ExtraLevels):
    """SSDlite's extra levels: 1x1, depthwise 3x3 and 1x1 convolutions, halving the map each time.

    Paper: MobileNetV2: Inverted Residuals and Linear Bottlenecks (Sandler et al., 2018),
        section 6.2, https://arxiv.org/abs/1801.04381

    The defaults suit a backbone with two levels. With more input levels, the first entries of
    `channels` are skipped, so that the number of output levels stays the same.

    Args:
        levels: Total number of output levels.
        channels: Channels of each extra level.
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        levels: PositiveInt = 6,
        channels: Channels = (512, 256, 256, 128),
    ) -> None:
        count = _count_to_add("ssdlite_extra", levels, feature_specs, channels)
        added: list[tuple[nn.Module, FeatureSpec, int]] = []
        spec = feature_specs[-1]
        for out in channels[len(channels) - count :]:
            squeezed = max(1, out // 2)
            layers = nn.Sequential(
                mobile_conv(spec.channels, squeezed),
                depthwise_conv(squeezed, stride=2),
                mobile_conv(squeezed, out),
            )
            spec = FeatureSpec(out, 2 * spec.stride)
            added.append((layers, spec, 1))
        super().__init__(specs=feature_specs, added=added)
        normal_convolutions(self, MOBILE_STD)


class _Shrinking(nn.Module):
    """A 1x1 convolution to half the channels, then one that shrinks the map."""

    def __init__(
        self, in_channels: int, out_channels: int, geometry: tuple[int, int, int], norm: Norm
    ) -> None:
        super().__init__()
        squeezed = max(1, out_channels // 2)
        self.squeeze = ConvBlock(in_channels, squeezed, kernel_size=1, norm=norm)
        has_bias = self.squeeze.conv.bias is not None
        self.conv = nn.Conv2d(squeezed, out_channels, *geometry, bias=has_bias)
        self.norm = make_norm(norm, out_channels)

    def forward(self, features: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(self.squeeze(features))))


def _count_to_add(neck: str, levels: int, specs: list[FeatureSpec], channels: Channels) -> int:
    """Number of levels to add.

    Raises:
        UserError: There are too many input levels or too few `channels`.
    """
    missing = levels - len(specs)
    if 0 <= missing <= len(channels):
        return missing
    counts = f"neck '{neck}': the input has {len(specs)} levels, `levels` is {levels}"
    if missing < 0:
        raise UserError(
            f"{counts}: raise model.neck.levels or take fewer from the backbone "
            "(model.backbone.levels)."
        )
    raise UserError(
        f"{counts}, but `channels` lists only {len(channels)} extra levels: list {missing}, or "
        "lower model.neck.levels."
    )
