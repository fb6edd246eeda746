"""NMS that lowers scores instead of dropping boxes."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from detkit.ops.boxes import iou
from detkit.ops.suppression import suppress_in_turn
from detkit.postprocess.results import best_first, groups_of
from detkit.registry import Fraction, PositiveFloat, PositiveInt, register
from detkit.structures import Detections


@register("postprocess", "soft_nms")
class SoftNMS:
    """Lowers the scores of boxes that a better one of their class overlaps; drops none at once.

    Paper: Soft-NMS: Improving Object Detection With One Line of Code (Bodla et al., 2017),
        https://arxiv.org/abs/1704.04503

    Args:
        score_threshold: Candidates need a score above this, before any is lowered.
        max_candidates: Candidates kept on each level before boxes are decoded.
        method: linear multiplies a score by 1 - IoU where that is iou_threshold or more, gaussian
            by exp(-IoU^2 / sigma) everywhere.
        iou_threshold: Of linear: less overlap than this leaves a score as it is.
        sigma: Of gaussian: the smaller, the more scores are lowered.
        minimum_score: Detections need a score above this in the end.
        max_detections: Detections kept in an image; the time grows with it.
        class_agnostic: Whether boxes of all classes suppress each other.
    """

    def __init__(
        self,
        *,
        score_threshold: Fraction = 0.05,
        max_candidates: PositiveInt = 1000,
        method: Literal["linear", "gaussian"] = "linear",
        iou_threshold: Fraction = 0.3,
        sigma: PositiveFloat = 0.5,
        minimum_score: Fraction = 0.001,
        max_detections: PositiveInt = 100,
        class_agnostic: bool = False,
    ) -> None:
        self.score_threshold = score_threshold
        self.max_candidates = max_candidates
        self.method = method
        self.iou_threshold = iou_threshold
        self.sigma = sigma
        self.minimum_score = minimum_score
        self.max_detections = max_detections
        self.class_agnostic = class_agnostic

    def __call__(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> Detections:
        """Candidates (M, 4), (M,), (M,) to detections, best first."""
        groups = groups_of(labels, self.class_agnostic)
        kept, values = suppress_in_turn(boxes, scores, groups, self._factors, self.max_detections)
        limits = self.minimum_score, self.max_detections
        return best_first(boxes[kept], values, labels[kept], *limits)

    def _factors(self, kept: Tensor, others: Tensor) -> Tensor:
        overlap = iou(kept, others)
        if self.method == "gaussian":
            return (overlap.square() / -self.sigma).exp()
        return torch.where(overlap >= self.iou_threshold, 1 - overlap, 1)
