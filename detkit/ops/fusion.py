"""Weighted boxes fusion."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from detkit.ops.boxes import iou
from detkit.ops.packing import Packed


class Clusters(NamedTuple):
    """Boxes put together. Each cluster has the place of its best box; other places are empty.

    Attributes:
        boxes: (G, n, 4) means of the members, weighted by their scores; 0 where empty.
        weights: (G, n) sums of the members' scores.
        counts: (G, n) members.
    """

    boxes: Tensor
    weights: Tensor
    counts: Tensor


def fuse_boxes(packed: Packed, iou_threshold: float) -> Clusters:
    """Put each box, best first, into the cluster that it overlaps most, or into a new one.

    A box is compared with what the clusters have become by then, so there is a round for each place
    of a row. All rows take part in it, and no number is fetched from the device.

    Args:
        packed: (G, n) candidates.
        iou_threshold: The overlap has to be above it.
    """
    boxes, scores, groups, _ = packed
    fused, sums = torch.zeros_like(boxes), torch.zeros_like(boxes)
    weights, counts = torch.zeros_like(scores), torch.zeros_like(scores)
    weighted = boxes * scores[..., None]
    for place in range(scores.shape[1]):
        own, known = slice(place, place + 1), slice(place + 1)
        overlaps = iou(boxes[:, own], fused[:, known])  # (G, place + 1), 0 with empty places
        overlaps = torch.where(groups[:, own] == groups[:, known], overlaps, 0)
        highest, best = overlaps.max(dim=1, keepdim=True)
        cluster = torch.where(highest > iou_threshold, best, place)  # (G, 1)
        sides = cluster[..., None].expand(-1, -1, 4)
        sums.scatter_add_(1, sides, weighted[:, own])
        weights.scatter_add_(1, cluster, scores[:, own])
        counts.scatter_add_(1, cluster, (scores[:, own] > 0).to(counts))
        weight = weights.gather(1, cluster)[..., None]
        mean = torch.where(weight > 0, sums.gather(1, sides) / weight, 0)
        fused.scatter_(1, sides, mean)
    return Clusters(fused, weights, counts)
