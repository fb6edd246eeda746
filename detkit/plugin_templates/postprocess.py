"""A post-processor: candidate boxes to final detections."""

from __future__ import annotations

from torch import Tensor

from detkit import register
from detkit.ops import class_wise_nms, sides_at_least
from detkit.registry import Fraction, NonNegativeFloat, PositiveInt
from detkit.structures import Detections


@register("postprocess", "my_postprocess")
class MyPostprocess:
    """Non-maximum suppression that first drops boxes with a very short side.

    Args:
        score_threshold: Candidates need a score above this.
        max_candidates: Candidates kept on each level before boxes are decoded.
        min_side: Boxes with a shorter side, in pixels, are dropped.
        iou_threshold: A box is dropped when its IoU with a better one of its class is above this.
        max_detections: Detections kept in an image.
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
        self.score_threshold = score_threshold  # the head keeps to these two
        self.max_candidates = max_candidates
        self.min_side = min_side
        self.iou_threshold = iou_threshold
        self.max_detections = max_detections

    def __call__(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> Detections:
        """Candidates (M, 4), (M,), (M,) of one image to detections, best first; M may be 0."""
        large = sides_at_least(boxes, self.min_side)
        boxes, scores, labels = boxes[large], scores[large], labels[large]
        kept = class_wise_nms(boxes, scores, labels, self.iou_threshold)[: self.max_detections]
        return Detections(boxes[kept], scores[kept], labels[kept])
