"""NMS that looks at the distance of centres too."""

from __future__ import annotations

from torch import Tensor

from detkit.ops.boxes import distance_penalty, iou
from detkit.ops.suppression import suppress_in_turn
from detkit.postprocess.results import best_first, groups_of
from detkit.registry import Fraction, PositiveFloat, PositiveInt, register
from detkit.structures import Detections


@register("postprocess", "diou_nms")
class DIoUNMS:
    """Keeps the best of boxes that overlap around one centre, so that neighbours survive.

    A box is dropped when its IoU with a better one, less (d^2 / c^2)^beta, is above the threshold;
    d is the distance of the centres and c the diagonal of the box around both.

    Paper: Distance-IoU Loss (Zheng et al., 2020), https://arxiv.org/abs/1911.08287

    Args:
        score_threshold: Candidates need a score above this.
        max_candidates: Candidates kept on each level before boxes are decoded.
        threshold: Of IoU less the distance; 0.5 as NMS has it, since the paper names none.
        beta: Exponent of the distance, below 1 it counts more; 1 is the paper's.
        max_detections: Detections kept in an image; the time grows with it.
        class_agnostic: Whether boxes of all classes suppress each other.
    """

    def __init__(
        self,
        *,
        score_threshold: Fraction = 0.05,
        max_candidates: PositiveInt = 1000,
        threshold: Fraction = 0.5,
        beta: PositiveFloat = 1.0,
        max_detections: PositiveInt = 100,
        class_agnostic: bool = False,
    ) -> None:
        self.score_threshold = score_threshold
        self.max_candidates = max_candidates
        self.threshold = threshold
        self.beta = beta
        self.max_detections = max_detections
        self.class_agnostic = class_agnostic

    def __call__(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> Detections:
        """Candidates (M, 4), (M,), (M,) to detections, best first."""
        groups = groups_of(labels, self.class_agnostic)
        kept, values = suppress_in_turn(boxes, scores, groups, self._factors, self.max_detections)
        return best_first(boxes[kept], values, labels[kept], 0.0, self.max_detections)

    def _factors(self, kept: Tensor, others: Tensor) -> Tensor:
        measure = iou(kept, others) - distance_penalty(kept, others) ** self.beta
        return (measure <= self.threshold).to(measure.dtype)
