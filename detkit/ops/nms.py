"""Non-maximum suppression."""

from __future__ import annotations

from torch import Tensor
from torchvision.ops import batched_nms


def class_wise_nms(boxes: Tensor, scores: Tensor, labels: Tensor, iou_threshold: float) -> Tensor:
    """Indices of the boxes that non-maximum suppression keeps in each class, best first.

    Args:
        boxes: (M, 4).
        scores: (M,).
        labels: (M,).
        iou_threshold: A box is dropped if its IoU with a better, kept box is above this.
    """
    return batched_nms(boxes, scores, labels, iou_threshold)
