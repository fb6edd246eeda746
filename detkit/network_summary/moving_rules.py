"""Receptive fields through operations that only move values."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._pytree import tree_map

from detkit.network_summary.operation_call import Call, around_all
from detkit.network_summary.pixel_fields import MOST_VALUES, NOWHERE, PixelFields

# Those that cannot return a view.
_COPYING = {
    *("repeat", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle"),
    *("native_channel_shuffle", "reflection_pad2d", "replication_pad2d"),
}
MOVING = {
    *("permute", "transpose", "t", "slice", "select", "unsqueeze", "squeeze", "expand"),
    *("split", "split_with_sizes", "unbind", "diagonal", "unfold", "movedim", *_COPYING),
}


def move(call: Call) -> PixelFields | list[PixelFields]:
    """Apply an operation that only moves values to the fields; one result for each output."""
    members = call.inputs()
    if math.prod(call.shape) > MOST_VALUES and call.func.overloadpacket.__name__ in _COPYING:
        return around_all(call)
    moved: list[list[Tensor]] = []
    for side in range(4):

        def replaced(value: Any, side: int = side) -> Any:
            if not isinstance(value, Tensor):
                return value
            fields = call.fields_of(value)
            if fields is None:
                return torch.full((1,) * value.dim(), NOWHERE, device="cpu").expand(value.shape)
            return fields.sides[side].expand(fields.shape)

        result = call.func(*tree_map(replaced, call.args), **tree_map(replaced, call.kwargs))
        moved.append([result] if isinstance(result, Tensor) else list(result))
    exact = all(fields.exact for fields in members)
    outputs = [
        PixelFields(tuple(sides[0].shape), sides, exact).moved(lambda side: side)
        for sides in zip(*moved, strict=True)
    ]
    return outputs if len(outputs) > 1 else outputs[0]


def constant_pad(call: Call) -> PixelFields:
    """Padding depends on no pixel; a constant axis stays constant."""
    padding = list(call.args[1])

    def change(side: Tensor) -> Tensor:
        pairs = [padding[start : start + 2] for start in range(0, len(padding), 2)]
        axes = range(side.dim() - 1, -1, -1)
        used = [p if side.shape[axis] > 1 else [0, 0] for axis, p in zip(axes, pairs, strict=False)]
        return functional.pad(side, [n for pair in used for n in pair], value=NOWHERE)

    return call.first().each_side(change, call.shape)


def concatenation(call: Call) -> PixelFields:
    """Concatenate along an axis, or stack along a new one; constant axes stay short."""
    is_stack = call.func.overloadpacket.__name__ == "stack"
    axis = call.argument(1, 0) % len(call.shape)
    members = [(call.fields_of(tensor), tuple(tensor.shape)) for tensor in call.args[0]]
    exact = all(fields.exact for fields, _ in members if fields is not None)
    sides = []
    for number in range(4):
        parts = []
        for fields, shape in members:
            ones = [1] * len(shape)
            side = (
                torch.full(ones, NOWHERE, device="cpu") if fields is None else fields.sides[number]
            )
            parts.append((side.unsqueeze(axis), 1) if is_stack else (side, shape[axis]))
        lengths = [max(side.shape[i] for side, _ in parts) for i in range(len(call.shape))]
        expanded = [
            side.expand([*lengths[:axis], length, *lengths[axis + 1 :]]) for side, length in parts
        ]
        sides.append(torch.cat(expanded, axis))
    return PixelFields(call.shape, tuple(sides), exact)


def along_axes(call: Call) -> PixelFields:
    """Roll or flip the axes along which a side varies.

    Values that a roll wraps around get no field: shifted windows mask them.
    """
    is_roll = call.func.overloadpacket.__name__ == "roll"
    axes = [axis % len(call.shape) for axis in call.args[-1]]

    def change(side: Tensor) -> Tensor:
        varying = [i for i, axis in enumerate(axes) if side.shape[axis] > 1]
        if is_roll:
            for i in varying:
                side = _shifted(side, axes[i], call.args[1][i])
            return side
        return side.flip([axes[i] for i in varying])

    return call.first().each_side(change, call.shape)


def _shifted(side: Tensor, axis: int, shift: int) -> Tensor:
    """Roll without values that wrap around."""
    rolled = side.roll(shift, axis)
    length = side.shape[axis]
    shift = (shift + length // 2) % length - length // 2
    rolled.narrow(axis, 0 if shift > 0 else length + shift, abs(shift)).fill_(NOWHERE)
    return rolled
