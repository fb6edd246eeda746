"""Weighted boxes fusion."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from detkit.ops.boxes import iou
from detkit.ops.packing import Packed


class Clusters(NamedTuple):
    """Fused boxes. Each cluster occupies the column of its best box; other columns are empty.

    Attributes:
        boxes: (G, n, 4) score-weighted means of the members; 0 where empty.
        weights: (G, n) sums of the members' scores.
        counts: (G, n) numbers of members.
    """

    boxes: Tensor
    weights: Tensor
    counts: Tensor


def fuse_boxes(packed: Packed, iou_threshold: float) -> Clusters:
    """Add each box, best first, to the cluster that it overlaps most, or start a new cluster.

    Each box is compared with the clusters as they are by then, so there is one round per column;
    a round handles all rows at once, without synchronising with the device.

    Args:
        packed: (G, n) candidates.
        iou_threshold: A box joins a cluster if their overlap is above this.
    """
    boxes, scores, groups, _ = packed
    fused, sums = torch.zeros_like(boxes), torch.zeros_like(boxes)
    weights, counts = torch.zeros_like(scores), torch.zeros_like(scores)
    weighted = boxes * scores[..., None]
    for column in range(scores.shape[1]):
        current, earlier = slice(column, column + 1), slice(column + 1)
        overlaps = iou(boxes[:, current], fused[:, earlier])  # (G, column + 1), 0 for empty columns
        overlaps = torch.where(groups[:, current] == groups[:, earlier], overlaps, 0)
        highest, best = overlaps.max(dim=1, keepdim=True)
        cluster = torch.where(highest > iou_threshold, best, column)  # (G, 1)
        sides = cluster[..., None].expand(-1, -1, 4)
        sums.scatter_add_(1, sides, weighted[:, current])
        weights.scatter_add_(1, cluster, scores[:, current])
        counts.scatter_add_(1, cluster, (scores[:, current] > 0).to(counts))
        weight = weights.gather(1, cluster)[..., None]
        mean = torch.where(weight > 0, sums.gather(1, sides) / weight, 0)
        fused.scatter_(1, sides, mean)
    return Clusters(fused, weights, counts)
