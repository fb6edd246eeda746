"""DIoU-NMS: suppression by IoU and centre distance."""

from __future__ import annotations

from torch import Tensor

from detkit.ops.boxes import distance_penalty, iou
from detkit.ops.ranking import best_first
from detkit.ops.suppression import suppress_in_turn
from detkit.postprocess.groups import groups_of
from detkit.registry import Fraction, PositiveFloat, PositiveInt, register
from detkit.structures import PaddedDetections


@register("postprocess", "diou_nms")
class DIoUNMS:
    """NMS that also considers the distance of centres, so that neighbouring objects survive.

    A box is dropped if its IoU with a better box minus (d^2 / c^2)^beta exceeds the threshold;
    d is the distance of the centres and c the diagonal of the box around both.

    Paper: Distance-IoU Loss (Zheng et al., 2020), https://arxiv.org/abs/1911.08287

    Args:
        score_threshold: Candidates must score above this.
        max_candidates: Candidates kept per level before boxes are decoded.
        threshold: Limit of IoU minus distance; 0.5 as for NMS, since the paper gives none.
        beta: Exponent of the distance: 1 in the paper, smaller values give it more weight.
        max_detections: Detections kept per image; the time grows with it.
        class_agnostic: Whether boxes suppress each other across classes.
    """

    export_problem = (
        "it drops boxes in rounds, and how many depends on the boxes: choose postprocess 'nms'"
    )

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

    def __call__(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> PaddedDetections:
        """Candidates (B, K, 4), (B, K), (B, K) to detections, best first."""
        groups = groups_of(labels, self.class_agnostic)
        kept = suppress_in_turn(boxes, scores, groups, self._factors, self.max_detections)
        return best_first(boxes, kept, labels, 0.0, self.max_detections)

    def _factors(self, best: Tensor, candidates: Tensor) -> Tensor:
        measure = iou(best, candidates) - distance_penalty(best, candidates) ** self.beta
        return (measure <= self.threshold).to(measure.dtype)
