"""Receptive fields as rectangles of pixels, one for each value of a tensor."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import torch
from torch import Tensor
from torch.nn import functional

NOWHERE = float(-(2**30))  # depends on no pixel: the neutral element of a maximum
MOST_VALUES = 2**24  # of a side; above, one rectangle serves a whole tensor
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class PixelFields:
    """For each value of a tensor, the smallest rectangle with all pixels that it depends on.

    Attributes:
        shape: Shape of the tensor.
        sides: Minus the first row, minus the first column, the last row and the last column, so
            that the union of rectangles is a maximum of each side. A side has the tensor's axes,
            with length 1 where it is constant.
        exact: False if an operation without a rule may have enlarged the rectangles.
    """

    shape: tuple[int, ...]
    sides: tuple[Tensor, ...]
    exact: bool = True

    @staticmethod
    def of_image(images: Tensor) -> PixelFields:
        """The fields of images (B, 3, H, W): each value depends on its own pixel."""
        height, width = images.shape[-2:]
        rows = torch.arange(height, dtype=torch.float32, device=_CPU).view(1, 1, height, 1)
        columns = torch.arange(width, dtype=torch.float32, device=_CPU).view(1, 1, 1, width)
        return PixelFields(tuple(images.shape), (-rows, -columns, rows, columns))

    def extent(self, height: int, width: int) -> tuple[int, int, bool]:
        """Rows and columns of the largest field, and whether the image cuts it off.

        Args:
            height: Rows of the image.
            width: Columns of the image.
        """
        top, first, bottom, last = self.sides
        rows, columns = bottom + top + 1, last + first + 1
        inside_rows = rows[(top < 0) & (bottom < height - 1)]
        inside_columns = columns[(first < 0) & (last < width - 1)]
        cut_off = any(
            inside.numel() == 0 or inside.max() < extents.max()
            for inside, extents in ((inside_rows, rows), (inside_columns, columns))
        )
        return max(int(rows.max()), 0), max(int(columns.max()), 0), cut_off

    def each_side(self, change: Callable[[Tensor], Tensor], shape: Sequence[int]) -> PixelFields:
        """Fields of a tensor of this shape, from a change of each side."""
        sides = tuple(change(side) for side in self.sides)
        return replace(self, shape=tuple(shape), sides=sides)

    def hull(self, shape: Sequence[int], *, exact: bool = False) -> PixelFields:
        """One rectangle, around all fields, for every value of a tensor of this shape."""
        ones = [1] * len(shape)
        return PixelFields(
            tuple(shape), tuple(side.max().reshape(ones) for side in self.sides), exact
        )

    def maximum(self, axes: Sequence[int], *, keep: bool = True) -> PixelFields:
        """The unions along some axes."""
        axes = [axis % len(self.shape) for axis in axes] or list(range(len(self.shape)))
        shape = [1 if axis in axes else n for axis, n in enumerate(self.shape)]
        if not keep:
            shape = [n for axis, n in enumerate(self.shape) if axis not in axes]
        return self.each_side(lambda side: side.amax(axes, keepdim=keep), shape)

    def expanded(self, shape: Sequence[int]) -> PixelFields:
        """The same fields, broadcast to a shape."""
        missing = [1] * (len(shape) - len(self.shape))
        return self.each_side(lambda side: side.reshape([*missing, *side.shape]), shape)

    def moved(self, move: Callable[[Tensor], Tensor]) -> PixelFields:
        """The fields after a movement of values, such as a permutation or a slice."""
        results = [move(side.expand(self.shape)) for side in self.sides]
        return replace(self, shape=tuple(results[0].shape), sides=tuple(map(compact, results)))


def compact(side: Tensor) -> Tensor:
    """A side with length 1 along the axes that were only expanded."""
    for axis, (length, stride) in enumerate(zip(side.shape, side.stride(), strict=True)):
        if length > 1 and stride == 0:
            side = side.narrow(axis, 0, 1)
    return side


def union(fields: Iterable[PixelFields], shape: Sequence[int]) -> PixelFields:
    """The unions of fields that broadcast to a shape."""
    members = [field.expanded(shape) for field in fields]
    exact = all(field.exact for field in members)
    lengths = zip(*(side.shape for field in members for side in field.sides), strict=True)
    if math.prod(max(axis) for axis in lengths) > MOST_VALUES:
        hulls = [field.hull(shape) for field in members]
        return union(hulls, shape)
    sides = zip(*(field.sides for field in members), strict=True)
    return PixelFields(tuple(shape), tuple(reduce(torch.maximum, side) for side in sides), exact)


def reshaped(fields: PixelFields, shape: Sequence[int]) -> PixelFields:
    """The fields of a tensor after `reshape`; axes along which a side is constant stay short."""
    groups = _axis_groups(fields.shape, shape)
    lengths = [
        [_lengths(side, fields.shape, shape, group) for group in groups] for side in fields.sides
    ]
    sources = [[n for source, _ in of_side for n in source] for of_side in lengths]
    if max(map(math.prod, sources)) > MOST_VALUES:
        return fields.hull(shape)
    targets = [[n for _, target in of_side for n in target] for of_side in lengths]
    sides = tuple(
        side.expand(source).reshape(target)
        for side, source, target in zip(fields.sides, sources, targets, strict=True)
    )
    return PixelFields(tuple(shape), sides, fields.exact)


def _lengths(
    side: Tensor, before: Sequence[int], after: Sequence[int], group: tuple[list[int], list[int]]
) -> tuple[list[int], list[int]]:
    """The lengths that a side needs along a group of axes before and after a reshape."""
    old, new = group
    if all(side.shape[axis] == 1 for axis in old):
        return [1] * len(old), [1] * len(new)
    source, target = [before[axis] for axis in old], [after[axis] for axis in new]
    # (H, W, A * K) to (H * W * A, K) where the last axis is constant: so is K.
    if side.shape[old[-1]] == 1 and source[-1] % target[-1] == 0:
        source[-1], target[-1] = source[-1] // target[-1], 1
    return source, target


def _axis_groups(before: Sequence[int], after: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """The smallest runs of axes with equal numbers of values before and after a reshape."""
    groups, start, end = [], 0, 0
    while start < len(before) or end < len(after):
        old: list[int] = []
        new: list[int] = []
        while True:
            products = (
                math.prod(before[axis] for axis in old),
                math.prod(after[axis] for axis in new),
            )
            if (old or new) and products[0] == products[1]:
                break
            if (products[0] <= products[1] or end == len(after)) and start < len(before):
                old.append(start)
                start += 1
            else:
                new.append(end)
                end += 1
        groups.append((old, new))
    return groups


def windows(
    side: Tensor, axis: int, *, kernel: int, stride: int, padding: int, dilation: int, size: int
) -> Tensor:
    """The maximum of a side in each of `size` windows along an axis."""
    if side.shape[axis] == 1:
        return side
    span = dilation * (kernel - 1) + 1
    values = side.movedim(axis, -1)
    length = (size - 1) * stride + span
    values = functional.pad(values, (padding, length - padding - side.shape[axis]), value=NOWHERE)
    taps = values.unfold(-1, span, stride)[..., ::dilation]
    return taps.amax(-1).movedim(-1, axis)


def spread(side: Tensor, axis: int, stride: int) -> Tensor:
    """A side with `stride` - 1 empty places between its values, as transposed convolution sees."""
    if side.shape[axis] == 1 or stride == 1:
        return side
    shape = list(side.shape)
    shape[axis] = (shape[axis] - 1) * stride + 1
    result = torch.full(shape, NOWHERE, device=_CPU)
    result.movedim(axis, -1)[..., ::stride] = side.movedim(axis, -1)
    return result


def sampled(side: Tensor, axis: int, taps: Sequence[Sequence[int]]) -> Tensor:
    """For each position along an axis, the maximum of the values at its taps."""
    if side.shape[axis] == 1:
        return side
    columns = [
        side.index_select(axis, torch.tensor(column, device=_CPU))
        for column in zip(*taps, strict=True)
    ]
    return reduce(torch.maximum, columns)
