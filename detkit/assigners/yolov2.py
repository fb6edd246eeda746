"""YOLOv2's assignment: YOLOv3's, without priors whose predicted box fits an object."""

from __future__ import annotations

import torch
from torch import Tensor

from detkit.assigners.grid_cell import GridCellAssigner
from detkit.ops.boxes import pairwise_iou
from detkit.ops.chunks import row_chunks
from detkit.registry import Fraction, register
from detkit.structures import IGNORED, Assignment, PaddedTargets, Priors


@register("assigner", "yolov2")
class YOLOv2Assigner:
    """The cell of an object's centre takes the object, with the anchor of the best shape.

    Shapes are compared by IoU after aligning the boxes' corners. Other priors are ignored if their
    predicted box overlaps an object well. If two objects want one prior, the one with the better
    shape gets it; in Darknet, it is the last one.

    Paper: YOLO9000: Better, Faster, Stronger (Redmon and Farhadi, 2017), section 2,
        https://arxiv.org/abs/1612.08242; threshold of Darknet's yolov2.cfg

    Args:
        ignored_iou: Priors without an object are ignored if the IoU of their predicted box with any
            object is above this value; 1 ignores none.
    """

    uses_predictions = True

    def __init__(self, *, ignored_iou: Fraction = 0.6) -> None:
        self.ignored_iou = ignored_iou
        self._best_shapes = GridCellAssigner(ignored_iou=1.0)

    def __call__(
        self, priors: Priors, scores: Tensor | None, boxes: Tensor | None, targets: PaddedTargets
    ) -> Assignment:
        """Match priors and objects by cell and shape, and predicted boxes by IoU."""
        matched = self._best_shapes(priors, scores, boxes, targets).matched
        if boxes is None or self.ignored_iou >= 1:
            return Assignment(matched)
        objects = targets.distant_padding()  # (B, N, 4), whose padding overlaps no box
        close = torch.zeros_like(matched, dtype=torch.bool)
        for chunk in row_chunks(objects.shape[1], matched.numel()):
            overlaps = pairwise_iou(objects[:, chunk], boxes)  # (B, n, P)
            close |= (overlaps > self.ignored_iou).any(dim=1)
        return Assignment(matched.masked_fill(close & (matched < 0), IGNORED))
