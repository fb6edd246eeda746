"""detkit's operators in ONNX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from detkit.ops import nms  # noqa: F401  # registers the operator

Value = Any  # of an ONNX graph; onnxscript is optional
_INT64, _BOOL = 7, 9  # ONNX's numbers of these types


def translations() -> dict[Callable[..., Any], Callable[..., Value]]:
    """The `custom_translation_table` of `torch.onnx.export`."""
    return {torch.ops.detkit.batched_class_nms.default: batched_class_nms}


def batched_class_nms(boxes: Value, scores: Value, groups: Value, iou_threshold: float) -> Value:
    """NonMaxSuppression of each group of each image, as a mask (B, K) of the kept boxes.

    The operator takes a row of scores for each group (B, G, K) and skips scores of 0, which the
    boxes of other groups get. It returns the image, group and index of each kept box.
    """
    import onnxscript

    op: Any = onnxscript.opset18

    def integers(*values: int) -> Value:
        return op.Constant(value_ints=values)

    zero, one = op.Constant(value_int=0), op.Constant(value_int=1)
    groups = op.Cast(groups, to=_INT64)
    numbers = op.Range(zero, op.Add(op.ReduceMax(groups, keepdims=0), one), one)  # (G,)
    in_group = op.Equal(op.Unsqueeze(groups, integers(1)), op.Unsqueeze(numbers, integers(0, 2)))
    no_score = op.CastLike(op.Constant(value_float=0.0), scores)
    by_group = op.Where(in_group, op.Unsqueeze(scores, integers(1)), no_score)
    shape = op.Shape(scores)
    most = op.Gather(shape, integers(1))
    thresholds = (op.Constant(value_floats=[value]) for value in (iou_threshold, 0.0))
    kept = op.NonMaxSuppression(boxes, by_group, most, *thresholds)  # (S, 3)
    positions = op.Gather(kept, integers(0, 2), axis=1)
    ones = op.Expand(one, op.Gather(op.Shape(kept), integers(0)))
    return op.Cast(op.ScatterND(op.Expand(zero, shape), positions, ones), to=_BOOL)
