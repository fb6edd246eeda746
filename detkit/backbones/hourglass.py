"""Stacked hourglass networks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Literal

from annotated_types import Interval, MinLen
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.resnet import BasicBlock

from detkit.backbones.weights import require_levels
from detkit.errors import UserError
from detkit.layers import ConvBlock, make_norm
from detkit.registry import PositiveInt, register
from detkit.structures import FeatureSpec

_Norm = Literal["batch", "frozen_batch", "group"]
_FIRST_LEVEL = 2  # of the stem's map and of the output
_Levels = tuple[Annotated[int, Interval(ge=2, le=7)], ...]
_STEM_KERNEL = 7


@register("backbone", "hourglass")
class StackedHourglass(nn.Module):
    """Hourglasses in a row: each shrinks its map to see the whole object, then restores the size.

    The level of stride 4 is the output of the last hourglass; coarser levels are the maps that this
    hourglass enlarges on the way. A stride-2 residual block shrinks a map and nearest-neighbour
    interpolation enlarges it, as in CornerNet; the first hourglass networks pool instead. For
    losses after each hourglass (intermediate supervision), `all_stacks` returns all outputs.

    Paper: Stacked Hourglass Networks for Human Pose Estimation (Newell et al., 2016),
        https://arxiv.org/abs/1603.06937
    Paper: CornerNet: Detecting Objects as Paired Keypoints (Law and Deng, 2018), section 3.5,
        https://arxiv.org/abs/1808.01244
    """

    def __init__(
        self,
        *,
        stacks: PositiveInt = 2,
        channels: Annotated[tuple[PositiveInt, ...], MinLen(2)] = (64, 64, 96, 96),
        blocks: tuple[PositiveInt, ...] = (1, 1, 1, 1),
        norm: _Norm = "batch",
        levels: _Levels = (2, 3, 4, 5),
        all_stacks: bool = False,
    ) -> None:
        """Build the network.

        Args:
            stacks: Number of hourglasses.
            channels: Channels at each depth of an hourglass: the first at stride 4, the next at
                stride 8, and so on. Each level has the channels of its depth.
            blocks: Residual blocks at each depth.
            norm: Normalisation after each convolution.
            levels: Output levels from 2 on, without gaps; level l has stride 2**l.
            all_stacks: Return the output of every hourglass, each at stride 4, instead of the
                levels of the last one; needs `levels` [2].

        Raises:
            UserError: `channels` and `blocks` differ in length, a level does not exist, or there
                are levels beside `all_stacks`.
        """
        super().__init__()
        _require_depths(channels, blocks)
        _require_levels(levels, len(channels), all_stacks)
        width = channels[0]
        half = max(1, width // 2)
        self.stem = nn.Sequential(
            ConvBlock(3, half, kernel_size=_STEM_KERNEL, stride=2, norm=norm),
            _block(half, width, 2, norm),
        )
        linear = partial(ConvBlock, width, width, kernel_size=1, norm=norm, activation="none")
        self.hourglasses = nn.ModuleList(_Hourglass(channels, blocks, norm) for _ in range(stacks))
        self.outputs = nn.ModuleList(ConvBlock(width, width, norm=norm) for _ in range(stacks))
        # Between two hourglasses: what the first one started from, its output, and their sum.
        self.from_input = nn.ModuleList(linear() for _ in range(stacks - 1))
        self.from_output = nn.ModuleList(linear() for _ in range(stacks - 1))
        self.between = nn.ModuleList(_block(width, width, 1, norm) for _ in range(stacks - 1))
        self.feature_specs = [
            FeatureSpec(channels[level - _FIRST_LEVEL], 2**level) for level in levels
        ]
        self._all_stacks = all_stacks
        if all_stacks:
            self.feature_specs *= stacks

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) to one map (B, C_l, H / stride, W / stride), rounded up, per spec."""
        start = self.stem(images)
        maps = self.hourglasses[0](start)
        outputs = [self.outputs[0](maps[0])]
        pairs = zip(self.from_input, self.from_output, self.between, strict=True)
        for number, (from_input, from_output, between) in enumerate(pairs, start=1):
            start = between(F.relu(from_input(start) + from_output(outputs[-1])))
            maps = self.hourglasses[number](start)
            outputs.append(self.outputs[number](maps[0]))
        if self._all_stacks:
            return outputs
        return [outputs[-1], *maps[1 : len(self.feature_specs)]]


@register("backbone", "hourglass104")
class Hourglass104(StackedHourglass):
    """Hourglass-104, the backbone of CornerNet and CenterNet: two hourglasses of depth 5.

    Paper: CornerNet: Detecting Objects as Paired Keypoints (Law and Deng, 2018), section 3.5,
        https://arxiv.org/abs/1808.01244
    """

    def __init__(
        self,
        *,
        norm: _Norm = "batch",
        levels: _Levels = (2, 3, 4, 5),
        all_stacks: bool = False,
    ) -> None:
        """Build the network.

        Args:
            norm: Normalisation after each convolution.
            levels: Output levels from 2 to at most 7, without gaps; level l has stride 2**l.
            all_stacks: Return the output of both hourglasses, at stride 4, for losses after each;
                needs `levels` [2].
        """
        super().__init__(
            stacks=2,
            channels=(256, 256, 384, 384, 384, 512),
            blocks=(2, 2, 2, 2, 2, 4),
            norm=norm,
            levels=levels,
            all_stacks=all_stacks,
        )


def _require_depths(channels: Sequence[int], blocks: Sequence[int]) -> None:
    if len(channels) != len(blocks):
        raise UserError(
            f"backbone 'hourglass': `channels` lists {len(channels)} depths, but `blocks` "
            f"{len(blocks)}: list the same number in both."
        )


def _require_levels(levels: _Levels, depths: int, all_stacks: bool) -> None:
    available = tuple(range(_FIRST_LEVEL, _FIRST_LEVEL + depths))
    require_levels("hourglass", levels, [available[:n] for n in range(1, depths + 1)])
    if all_stacks and tuple(levels) != (_FIRST_LEVEL,):
        raise UserError(
            "backbone 'hourglass': all_stacks=true returns maps of stride 4 only, got levels "
            f"{list(levels)}: set levels=[2], or all_stacks=false."
        )


class _Hourglass(nn.Module):
    """One hourglass: a path at full size, plus a path at half size with an hourglass inside."""

    def __init__(self, channels: tuple[int, ...], blocks: tuple[int, ...], norm: _Norm) -> None:
        super().__init__()
        width, inner_width = channels[:2]
        self.skip = _stage([width] * (blocks[0] + 1), 1, norm)
        self.down = _stage([width, *[inner_width] * blocks[0]], 2, norm)
        has_inner = len(channels) > 2  # noqa: PLR2004  # depths
        self.inner: nn.Module = (
            _Hourglass(channels[1:], blocks[1:], norm)
            if has_inner
            else _stage([inner_width] * (blocks[1] + 1), 1, norm)
        )
        self.up = _stage([*[inner_width] * blocks[0], width], 1, norm)

    def forward(self, features: Tensor) -> list[Tensor]:
        """(B, C, H, W) to maps, fine to coarse; the first has the same shape."""
        skip: Tensor = self.skip(features)
        inner = self.inner(self.down(features))
        maps = inner if isinstance(inner, list) else [inner]
        enlarged = F.interpolate(self.up(maps[0]), size=skip.shape[-2:])
        return [skip + enlarged, *maps]


def _stage(channels: list[int], stride: int, norm: _Norm) -> nn.Sequential:
    """Residual blocks between each two of the channels; the first one has the stride."""
    strides = [stride] + [1] * (len(channels) - 2)
    pairs = zip(channels, channels[1:], strides, strict=False)
    return nn.Sequential(*(_block(before, after, step, norm) for before, after, step in pairs))


def _block(before: int, after: int, stride: int, norm: _Norm) -> nn.Module:
    """A residual block of two 3x3 convolutions; a 1x1 convolution where the shapes differ."""
    shortcut = None
    if stride != 1 or before != after:
        shortcut = ConvBlock(
            before, after, kernel_size=1, stride=stride, norm=norm, activation="none"
        )
    block: nn.Module = BasicBlock(
        before, after, stride, shortcut, norm_layer=partial(make_norm, norm)
    )
    return block
