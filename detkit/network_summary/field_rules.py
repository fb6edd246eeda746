"""How each operation of PyTorch carries receptive fields from its inputs to its outputs.

Hand-written because no library does it: counters of receptive fields on PyPI only know chains of
convolutions, and gradients of a real network vanish at the border of large fields.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from detkit.network_summary.moving_rules import (
    MOVING,
    along_axes,
    concatenation,
    constant_pad,
    move,
)
from detkit.network_summary.operation_call import Call, around_all
from detkit.network_summary.pixel_fields import PixelFields, reshaped, union
from detkit.network_summary.window_rules import (
    adaptive,
    convolution,
    cubic,
    deformable,
    linear,
    nearest,
    pooling,
    resampled,
)


def carry(call: Call) -> PixelFields | list[PixelFields] | None:
    """The fields of an output, or of each of several; around all inputs if no rule knows it.

    None for a tensor that only has the shape of an input.
    """
    packet = call.func.overloadpacket.__name__
    name = packet.rstrip("_") if not packet.startswith("_") else packet
    if name in _CONSTANT:
        return None
    rule = RULES.get(name)
    if rule is None and (torch.Tag.pointwise in call.func.tags or name in _POINTWISE):
        rule = _pointwise
    if rule is None and name.startswith("_scaled_dot_product"):
        rule = _attention
    return (rule or around_all)(call)


def _pointwise(call: Call) -> PixelFields:
    return union(call.inputs(), call.shape)


def _same(call: Call) -> PixelFields:
    return call.first()


def _reshape(call: Call) -> PixelFields:
    return reshaped(call.first(), call.shape)


def _reduction(call: Call) -> PixelFields:
    axes = call.argument(_AXES.get(call.func.overloadpacket.__name__, 1), ())
    axes = [axes] if isinstance(axes, int) else axes
    axes = list(axes) if isinstance(axes, list | tuple) else []  # or a flag: of all values
    fields = call.first()
    return fields.maximum(axes, keep=len(call.shape) == len(fields.shape))


def _along(call: Call) -> PixelFields:
    """Softmax: each value depends on all values along an axis."""
    return call.first().maximum([call.args[1]]).each_side(lambda side: side, call.shape)


def _layer_norm(call: Call) -> PixelFields:
    axes = range(-len(call.args[1]), 0)
    return call.first().maximum(list(axes)).each_side(lambda side: side, call.shape)


def _cumulative(call: Call) -> PixelFields:
    """Sums, products and maxima up to each position of an axis."""
    axis = call.args[1]
    return call.first().each_side(lambda side: torch.cummax(side, axis).values, call.shape)


def _product(call: Call) -> PixelFields:
    """Matrix products, with or without something to add."""
    tensors = [value for value in call.args if isinstance(value, Tensor)]
    first, second = tensors[-2:]
    terms = [call.fields_of(tensor) for tensor in tensors[:-2]]
    for factor, axis in ((first, -1), (second, -2)):
        fields = call.fields_of(factor)
        terms.append(fields.maximum([axis]) if fields is not None else None)
    return union([term for term in terms if term is not None], call.shape)


def _attention(call: Call) -> PixelFields:
    queries, keys, values = (call.fields_of(tensor) for tensor in call.args[:3])
    terms = [queries.maximum([-1])] if queries is not None else []
    terms += [keys.maximum([-2, -1])] if keys is not None else []
    terms += [values.maximum([-2])] if values is not None else []
    return union(terms, call.shape)


def _named(names: Iterable[str], rule: Any) -> dict[str, Any]:
    return dict.fromkeys(names, rule)


_CONSTANT = {
    *("new_zeros", "new_ones", "new_full", "new_empty", "zeros_like", "ones_like", "full_like"),
    *("empty_like", "rand_like", "randn_like"),
}
# The position of the axes among the arguments, if it is not the second.
_AXES = {"linalg_vector_norm": 2, "norm": 2}
# Norms count as pointwise: their statistics over the map are no part of a receptive field.
_POINTWISE = {
    *("native_batch_norm", "_native_batch_norm_legit_no_training", "cudnn_batch_norm"),
    *("_native_batch_norm_legit", "batch_norm", "native_group_norm", "_batch_norm_no_update"),
    # PyTorch does not mark these as pointwise.
    *("where", "masked_fill", "copy", "hardswish", "hardsigmoid", "hardtanh", "leaky_relu"),
    *("elu", "relu6", "_prelu_kernel", "nan_to_num", "rrelu_with_noise"),
}
RULES: dict[str, Any] = {
    **_named(("clone", "contiguous", "_to_copy", "detach", "alias", "lift_fresh"), _same),
    **_named(("dropout", "native_dropout"), _same),
    **_named(("view", "_unsafe_view", "reshape", "_reshape_alias", "flatten"), _reshape),
    **_named(MOVING, move),
    **_named(("cat", "stack"), concatenation),
    **_named(("roll", "flip"), along_axes),
    "constant_pad_nd": constant_pad,
    "convolution": convolution,
    "deform_conv2d": deformable,
    **_named(("max_pool2d_with_indices", "avg_pool2d"), pooling),
    **_named(("_adaptive_avg_pool2d", "adaptive_avg_pool2d"), resampled(adaptive)),
    "adaptive_max_pool2d": resampled(adaptive),
    **_named(("upsample_nearest2d", "_upsample_nearest_exact2d"), resampled(nearest)),
    **_named(("upsample_bilinear2d", "_upsample_bilinear2d_aa"), resampled(linear)),
    "upsample_bicubic2d": resampled(cubic),
    **_named(("sum", "mean", "amax", "amin", "max", "min", "var", "std"), _reduction),
    **_named(("logsumexp", "prod", "linalg_vector_norm", "norm"), _reduction),
    **_named(("_softmax", "_safe_softmax", "_log_softmax"), _along),
    "native_layer_norm": _layer_norm,
    **_named(("cumsum", "cumprod", "cummax", "cummin"), _cumulative),
    **_named(("mm", "bmm", "addmm", "baddbmm"), _product),
}
