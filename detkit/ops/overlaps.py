"""The highest overlap of each box with any object."""

from __future__ import annotations

from torch import Tensor

from detkit.ops.boxes import iou
from detkit.ops.chunks import row_chunks


def highest_overlaps(boxes: Tensor, objects: Tensor) -> Tensor:
    """(P, 4) and (N, 4) to (P,) the highest IoU with an object; 0 without objects."""
    highest = boxes.new_zeros(len(boxes))
    for chunk in row_chunks(len(objects), len(boxes)):
        highest = highest.maximum(iou(objects[chunk][:, None], boxes).amax(dim=0))
    return highest
