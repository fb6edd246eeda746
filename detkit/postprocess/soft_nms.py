"""Soft-NMS: lower scores instead of dropping boxes."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from detkit.ops.boxes import iou
from detkit.ops.ranking import best_first
from detkit.ops.suppression import suppress_in_turn
from detkit.postprocess.groups import groups_of
from detkit.registry import Fraction, PositiveFloat, PositiveInt, register
from detkit.structures import PaddedDetections


@register("postprocess", "soft_nms")
class SoftNMS:
    """Lowers the scores of boxes that overlap a better box of their class.

    Paper: Soft-NMS: Improving Object Detection With One Line of Code (Bodla et al., 2017),
        https://arxiv.org/abs/1704.04503

    Args:
        score_threshold: Candidates must score above this, before scores are lowered.
        max_candidates: Candidates kept per level before boxes are decoded.
        method: linear multiplies a score by 1 - IoU if the IoU is at least iou_threshold, gaussian
            by exp(-IoU^2 / sigma) always.
        iou_threshold: For linear: a smaller IoU does not change a score.
        sigma: For gaussian: smaller values lower scores more.
        minimum_score: Detections must score above this, after scores are lowered.
        max_detections: Detections kept per image; the time grows with it.
        class_agnostic: Whether boxes suppress each other across classes.
    """

    export_problem = (
        "it lowers scores in rounds, and how many depends on the boxes: choose postprocess 'nms' "
        "or 'matrix_nms'"
    )

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

    def __call__(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> PaddedDetections:
        """Candidates (B, K, 4), (B, K), (B, K) to detections, best first."""
        groups = groups_of(labels, self.class_agnostic)
        lowered = suppress_in_turn(boxes, scores, groups, self._factors, self.max_detections)
        return best_first(boxes, lowered, labels, self.minimum_score, self.max_detections)

    def _factors(self, best: Tensor, candidates: Tensor) -> Tensor:
        overlap = iou(best, candidates)
        if self.method == "gaussian":
            return (overlap.square() / -self.sigma).exp()
        return torch.where(overlap >= self.iou_threshold, 1 - overlap, 1)
