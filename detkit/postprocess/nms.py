"""Non-maximum suppression, the usual end of a dense detector."""

from __future__ import annotations

from torch import Tensor

from detkit.ops.nms import class_wise_nms
from detkit.postprocess.results import groups_of
from detkit.registry import Fraction, PositiveInt, register
from detkit.structures import Detections


@register("postprocess", "nms")
class NMS:
    """Keeps the best of the boxes of one class that overlap.

    Args:
        score_threshold: Candidates need a score above this.
        max_candidates: Candidates kept on each level before boxes are decoded.
        iou_threshold: A box is dropped when its IoU with a better one of its class is above this.
        max_detections: Detections kept in an image.
        class_agnostic: Whether boxes of all classes suppress each other.
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

    def __call__(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> Detections:
        """Candidates (M, 4), (M,), (M,) to detections, best first."""
        groups = groups_of(labels, self.class_agnostic)
        kept = class_wise_nms(boxes, scores, groups, self.iou_threshold)[: self.max_detections]
        return Detections(boxes[kept], scores[kept], labels[kept])
