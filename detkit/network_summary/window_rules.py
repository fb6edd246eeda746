"""Receptive fields through convolutions, poolings and changes of size."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from detkit.network_summary.operation_call import Call, Rule, around_all
from detkit.network_summary.pixel_fields import PixelFields, sampled, spread, union, windows


def convolution(call: Call) -> PixelFields:
    """Convolutions, transposed ones too: windows of all channels of a group."""
    images, weight, _, stride, padding, dilation, transposed, _, groups = call.args[:9]
    fields = call.fields_of(images)
    if fields is None or call.fields_of(weight) is not None:
        return around_all(call)
    settings = list(zip(weight.shape[2:], stride, padding, dilation, strict=True))
    return fields.each_side(
        lambda side: _convolved(side, settings, call.shape, groups, transposed), call.shape
    )


def _convolved(
    side: Tensor,
    settings: Sequence[tuple[int, int, int, int]],
    shape: Sequence[int],
    groups: int,
    transposed: bool,
) -> Tensor:
    side = _of_groups(side, groups, shape[1])
    for axis, (kernel, stride, padding, dilation) in enumerate(settings, start=2):
        if transposed:
            side = spread(side, axis, stride)
            padding, stride = dilation * (kernel - 1) - padding, 1  # noqa: PLW2901
        side = windows(
            side,
            axis,
            kernel=kernel,
            stride=stride,
            padding=padding,
            dilation=dilation,
            size=shape[axis],
        )
    return side


def _of_groups(side: Tensor, groups: int, channels: int) -> Tensor:
    """The maximum over the input channels of each output channel."""
    if side.shape[1] == 1 or groups == 1:
        return side.amax(1, keepdim=True)
    of_groups = side.view(len(side), groups, -1, *side.shape[2:]).amax(2)
    return of_groups.repeat_interleave(channels // groups, 1)


def deformable(call: Call) -> PixelFields:
    """As if not deformed, and with the fields of the offsets and the mask."""
    images, weight, offset, mask = call.args[:4]
    numbers = call.args[5:13]
    stride, padding, dilation = (tuple(numbers[i : i + 2]) for i in (0, 2, 4))
    fields = call.fields_of(images)
    if fields is None:
        return around_all(call)
    settings = list(zip(weight.shape[2:], stride, padding, dilation, strict=True))
    sampled_fields = fields.each_side(
        lambda side: _convolved(side, settings, call.shape, numbers[6], False), call.shape
    )
    others = [f.maximum([1]) for f in map(call.fields_of, (offset, mask)) if f is not None]
    return union([sampled_fields, *others], call.shape)


def _pair(value: Any, default: Sequence[int]) -> tuple[int, int]:
    values = [value] if isinstance(value, int) else list(value)
    values = values or list(default)
    return (values[0], values[-1])


def pooling(call: Call) -> PixelFields:
    """Maxima and means over windows, channel by channel."""
    kernel = _pair(call.args[1], ())
    stride = _pair(call.argument(2, ()), kernel)
    padding = _pair(call.argument(3, 0), ())
    is_maximum = "max" in call.func.overloadpacket.__name__
    dilation = _pair(call.argument(4, 1), ()) if is_maximum else (1, 1)
    settings = list(zip(kernel, stride, padding, dilation, strict=True))

    def change(side: Tensor) -> Tensor:
        for axis, (size, step, margin, gap) in enumerate(settings, start=len(call.shape) - 2):
            side = windows(
                side,
                axis,
                kernel=size,
                stride=step,
                padding=margin,
                dilation=gap,
                size=call.shape[axis],
            )
        return side

    return call.first().each_side(change, call.shape)


def resampled(taps_of: Callable[[int, int, Call], list[list[int]]]) -> Rule:
    """A rule for operations whose output positions each read some input positions of an axis."""

    def rule(call: Call) -> PixelFields:
        fields = call.first()

        def change(side: Tensor) -> Tensor:
            for axis in (-2, -1):
                length, size = fields.shape[axis], call.shape[axis]
                axis_index = len(call.shape) + axis
                side = sampled(side, axis_index, taps_of(length, size, call))
            return side

        return fields.each_side(change, call.shape)

    return rule


def nearest(length: int, size: int, call: Call) -> list[list[int]]:
    """The input position that each output position copies."""
    return [[min(position * length // size, length - 1)] for position in range(size)]


def adaptive(length: int, size: int, call: Call) -> list[list[int]]:
    """The input positions that each output position of an adaptive pooling covers."""
    longest = max(-(-(p + 1) * length // size) - p * length // size for p in range(size))
    return [
        [min(p * length // size + tap, -(-(p + 1) * length // size) - 1) for tap in range(longest)]
        for p in range(size)
    ]


def linear(length: int, size: int, call: Call) -> list[list[int]]:
    """The two input positions around each output position."""
    return [_neighbours(centre, length) for centre in _centres(length, size, call)]


def cubic(length: int, size: int, call: Call) -> list[list[int]]:
    """The four input positions around each output position."""
    taps = [_neighbours(centre, length) for centre in _centres(length, size, call)]
    return [
        [max(first - (first != last), 0), first, last, min(last + (first != last), length - 1)]
        for first, last in taps
    ]


def _centres(length: int, size: int, call: Call) -> list[float]:
    """The input position at each output position."""
    if call.argument(2, call.kwargs.get("align_corners", False)) and size > 1:
        return [position * (length - 1) / (size - 1) for position in range(size)]
    return [(position + 0.5) * length / size - 0.5 for position in range(size)]


def _neighbours(centre: float, length: int) -> list[int]:
    limited = min(max(centre, 0.0), length - 1.0)
    return [math.floor(limited), math.ceil(limited)]
