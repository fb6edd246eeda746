"""Non-maximum suppression of a whole batch."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from detkit.ops.selection import is_eager_cpu
from detkit.ops.torchvision_operators import load_operators

load_operators("_C", "torchvision::nms")

# Boxes to compare in one call, whose time grows with their square. On a CPU, several short calls
# are faster than a long one; 400 boxes take 0.2 ms. A GPU compares all pairs in parallel, but its
# host waits for the result of every call.
_MOST_ON_CPU, _MOST_ELSEWHERE = 400, 2**16


def batched_class_nms(
    boxes: Tensor, scores: Tensor, groups: Tensor, iou_threshold: float
) -> Tensor:
    """Mark the boxes that non-maximum suppression keeps in each group of each image.

    In a graph this is a single operator, `detkit::batched_class_nms`, for which ONNX has
    NonMaxSuppression.

    Args:
        boxes: (B, K, 4).
        scores: (B, K); boxes with a score of 0 do not exist.
        groups: (B, K) from 0, such as labels; boxes of different groups do not interact.
        iou_threshold: A box is dropped if its IoU with a better, kept box is above this.

    Returns:
        (B, K) bool.
    """
    if torch.compiler.is_compiling() or torch.compiler.is_exporting():
        return _operator(boxes, scores, groups, iou_threshold)
    return _keep(boxes, scores, groups, iou_threshold)


def _keep(boxes: Tensor, scores: Tensor, groups: Tensor, iou_threshold: float) -> Tensor:
    """Shift groups apart, so that one call can compare the boxes of several."""
    exists = scores > 0
    if exists.numel() == 0:
        return exists
    image = torch.arange(boxes.shape[0], device=boxes.device)[:, None]
    key = (image * (groups.amax() + 1) + groups).flatten()
    # In float64, even a shift of a million pixels changes coordinates by less than 1e-9 pixels.
    apart = boxes.double().nan_to_num().flatten(0, 1)
    apart = apart + (key * (apart.amax() - apart.amin() + 1))[:, None]
    values = scores.double().flatten()
    most = max(_MOST_ON_CPU, len(key) // 24) if is_eager_cpu(boxes) else _MOST_ELSEWHERE
    if len(key) <= most:
        kept = torch.ops.torchvision.nms(apart, values, iou_threshold)
    else:
        key = torch.where(exists.flatten(), key, -1)
        kept = _kept_in_runs(apart, values, key, iou_threshold, most)
    keep = torch.zeros_like(values, dtype=torch.bool).index_fill_(0, kept, True)
    return keep.view_as(exists) & exists


def _kept_in_runs(
    boxes: Tensor, scores: Tensor, keys: Tensor, iou_threshold: float, most: int
) -> Tensor:
    """The indices of the boxes that are kept, with a call for each run of groups.

    Args:
        boxes: (M, 4), with groups far apart.
        scores: (M,).
        keys: (M,) number of each box's group, -1 for boxes that do not exist.
        iou_threshold: As for `batched_class_nms`.
        most: Boxes per run, unless a group has more.
    """
    keys, order = keys.sort(stable=True)
    stops = _stops_of_runs(keys.cpu().numpy(), most)  # all that the host waits for
    if len(stops) == 1:
        return order[:0]
    lengths = np.diff(stops, prepend=0).tolist()
    _, *pieces = zip(*(torch.split(v[order], lengths) for v in (boxes, scores)), strict=True)
    runs = [torch.ops.torchvision.nms(*piece, iou_threshold) for piece in pieces]
    first = np.repeat(stops[:-1], [len(run) for run in runs])
    return order[torch.cat(runs) + torch.from_numpy(first).to(order.device)]


def _stops_of_runs(keys: NDArray[np.int64], most: int) -> list[int]:
    """Divide sorted keys into runs of whole groups, of at most `most` boxes if a group allows.

    The first run, which may be empty, has the boxes that do not exist, with the key -1.
    """
    stop, *stops = [*np.flatnonzero(np.diff(keys, prepend=-1)).tolist(), len(keys)]
    stops_of_runs, previous = [stop], stop
    for stop in stops:
        if stop - stops_of_runs[-1] > most and previous > stops_of_runs[-1]:
            stops_of_runs.append(previous)
        previous = stop
    return stops_of_runs if previous == stops_of_runs[-1] else [*stops_of_runs, previous]


@torch.library.custom_op("detkit::batched_class_nms", mutates_args=())
def _operator(boxes: Tensor, scores: Tensor, groups: Tensor, iou_threshold: float) -> Tensor:
    return _keep(boxes, scores, groups, iou_threshold)


@_operator.register_fake
def _operator_shape(boxes: Tensor, scores: Tensor, groups: Tensor, iou_threshold: float) -> Tensor:
    return torch.empty_like(scores, dtype=torch.bool)
