"""Non-maximum suppression."""

from __future__ import annotations

from torch import Tensor
from torchvision.ops import batched_nms


def class_wise_nms(boxes: Tensor, scores: Tensor, labels: Tensor, iou_threshold: float) -> Tensor:
    """Indices of the boxes that no better box of their class overlaps too much, best first.

    Args:
        boxes: (M, 4).
        scores: (M,).
        labels: (M,).
        iou_threshold: A box is dropped when its IoU with a kept one is above this.
    """
    return batched_nms(boxes, scores, labels, iou_threshold)
