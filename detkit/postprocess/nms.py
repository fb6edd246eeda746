"""Non-maximum suppression, the usual post-processing of a dense detector."""

from __future__ import annotations

import torch
from torch import Tensor

from detkit.ops.nms import batched_class_nms
from detkit.ops.ranking import best_first
from detkit.postprocess.groups import groups_of
from detkit.registry import Fraction, PositiveInt, register
from detkit.structures import PaddedDetections


@register("postprocess", "nms")
class NMS:
    """Keeps the best of overlapping boxes in each class.

    Args:
        score_threshold: Candidates must score above this.
        max_candidates: Candidates kept per level before boxes are decoded.
        iou_threshold: A box is dropped if its IoU with a better box of its class exceeds this.
        max_detections: Detections kept per image.
        class_agnostic: Whether boxes suppress each other across classes.
    """

    def __init__(
        self,
        *,
        score_threshold: Fraction = 0.05,
        max_candidates: PositiveInt = 1000,
        iou_threshold: Fraction = 0.5,
        max_detections: PositiveInt = 100,
        class_agnostic: bool = False,
    ) -> None:
        self.score_threshold = score_threshold
        self.max_candidates = max_candidates
        self.iou_threshold = iou_threshold
        self.max_detections = max_detections
        self.class_agnostic = class_agnostic

    def __call__(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> PaddedDetections:
        """Candidates (B, K, 4), (B, K), (B, K) to detections, best first."""
        groups = groups_of(labels, self.class_agnostic)
        keep = batched_class_nms(boxes, scores, groups, self.iou_threshold)
        scores = torch.where(keep, scores, 0)
        return best_first(boxes, scores, labels, 0.0, self.max_detections)
