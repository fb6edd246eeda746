"""A post-processor: turns candidate boxes into final detections."""

from __future__ import annotations

import torch
from torch import Tensor

from detkit import register
from detkit.ops import batched_class_nms, best_first, sides_at_least
from detkit.registry import Fraction, NonNegativeFloat, PositiveInt
from detkit.structures import PaddedDetections


@register("postprocess", "my_postprocess")
class MyPostprocess:
    """Non-maximum suppression that first drops boxes with a very short side.

    Args:
        score_threshold: Candidates need a score above this.
        max_candidates: How many candidates of each level to keep before decoding boxes.
        min_side: Boxes with a shorter side, in pixels, are dropped.
        iou_threshold: A box is dropped if its IoU with a higher-scoring box of its class exceeds
            this.
        max_detections: How many detections of an image to keep.
    """

    def __init__(
        self,
        *,
        score_threshold: Fraction = 0.05,
        max_candidates: PositiveInt = 1000,
        min_side: NonNegativeFloat = 1.0,
        iou_threshold: Fraction = 0.5,
        max_detections: PositiveInt = 100,
    ) -> None:
        self.score_threshold = score_threshold  # the head applies these two
        self.max_candidates = max_candidates
        self.min_side = min_side
        self.iou_threshold = iou_threshold
        self.max_detections = max_detections

    def __call__(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> PaddedDetections:
        """Filter the candidates (B, K, 4), (B, K), (B, K) of B images; K may be 0.

        Candidates with a score of 0 do not exist: an image may have fewer than K.
        """
        large = sides_at_least(boxes, self.min_side)
        scores = torch.where(large, scores, 0)
        keep = batched_class_nms(boxes, scores, labels, self.iou_threshold)
        scores = torch.where(keep, scores, 0)
        return best_first(boxes, scores, labels, 0.0, self.max_detections)
