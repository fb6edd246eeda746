"""Weighted boxes fusion."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from detkit.ops.boxes import iou


class Clusters(NamedTuple):
    """Boxes put together. Each cluster has the place of its first box; other places are empty.

    Attributes:
        boxes: (M, 4) means of the members, weighted by their scores; 0 where empty.
        weights: (M,) sums of the members' scores.
        counts: (M,) members.
    """

    boxes: Tensor
    weights: Tensor
    counts: Tensor


def fuse_boxes(boxes: Tensor, scores: Tensor, groups: Tensor, iou_threshold: float) -> Clusters:
    """Put each box into the cluster that it overlaps most, or into a new one.

    A box is compared with what the clusters have become by then, so there is a round for each box,
    without fetching any number from the device.

    Args:
        boxes: (M, 4), best first.
        scores: (M,) above 0.
        groups: (M,); clusters are made within a group.
        iou_threshold: The overlap has to be above it.
    """
    fused, sums = torch.zeros_like(boxes), torch.zeros_like(boxes)
    weights, counts = torch.zeros_like(scores), torch.zeros_like(groups)
    places = torch.arange(len(boxes), device=boxes.device)
    weighted = boxes * scores[:, None]
    for place in range(len(boxes)):
        own = slice(place, place + 1)
        overlaps = iou(boxes[own], fused[: place + 1])  # 0 with empty places
        overlaps = torch.where(groups[own] == groups[: place + 1], overlaps, 0)
        highest, best = overlaps.max(dim=0, keepdim=True)
        cluster = torch.where(highest > iou_threshold, best, places[own])  # (1,)
        sums.index_add_(0, cluster, weighted[own])
        weights.index_add_(0, cluster, scores[own])
        counts.index_add_(0, cluster, torch.ones_like(cluster))
        fused.index_copy_(0, cluster, sums[cluster] / weights[cluster, None])
    return Clusters(fused, weights, counts)
