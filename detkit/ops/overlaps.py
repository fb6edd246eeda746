"""The highest overlap of each box with any object."""

from __future__ import annotations

from torch import Tensor

from detkit.ops.boxes import iou
from detkit.ops.chunks import row_chunks
from detkit.structures import PaddedTargets


def highest_overlaps(boxes: Tensor, targets: PaddedTargets) -> Tensor:
    """(B, P) the highest IoU of boxes (P, 4) or (B, P, 4) with an object; 0 without objects."""
    objects = targets.distant_padding()  # (B, N, 4)
    count = boxes.shape[-2]
    highest = boxes.new_zeros((len(objects), count))
    for chunk in row_chunks(objects.shape[1], highest.numel()):
        overlaps = iou(objects[:, chunk, None], boxes.unsqueeze(-3))  # (B, n, P)
        highest = highest.maximum(overlaps.amax(dim=1))
    return highest
