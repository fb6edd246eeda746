"""Matrix NMS: soft suppression of all boxes at once."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from detkit.ops.boxes import EPSILON
from detkit.ops.decay import decay_at_once
from detkit.ops.packing import pack_groups, pack_images
from detkit.ops.ranking import best_first
from detkit.ops.selection import is_eager_cpu
from detkit.postprocess.groups import groups_of
from detkit.registry import Fraction, PositiveFloat, PositiveInt, register
from detkit.structures import PaddedDetections


@register("postprocess", "matrix_nms")
class MatrixNMS:
    """Lowers the scores of overlapping boxes like soft-NMS, in parallel for all boxes.

    The better box with the highest IoU lowers a score most, and less if an even better box overlaps
    it in turn, so that it may itself be suppressed.

    Paper: SOLOv2: Dynamic and Fast Instance Segmentation (Wang et al., 2020),
        https://arxiv.org/abs/2003.10152

    Args:
        score_threshold: Candidates must score above this, before scores are lowered.
        max_candidates: Candidates kept per level before boxes are decoded; the time grows with the
            square of the number per class.
        method: linear multiplies a score by ratios of 1 - IoU, gaussian by ratios of
            exp(-IoU^2 / sigma).
        sigma: For gaussian: smaller values lower scores more.
        minimum_score: Detections must score above this, after scores are lowered.
        max_detections: Detections kept per image.
        class_agnostic: Whether boxes suppress each other across classes.
    """

    def __init__(
        self,
        *,
        score_threshold: Fraction = 0.05,
        max_candidates: PositiveInt = 500,
        method: Literal["linear", "gaussian"] = "gaussian",
        sigma: PositiveFloat = 0.5,
        minimum_score: Fraction = 0.05,
        max_detections: PositiveInt = 100,
        class_agnostic: bool = False,
    ) -> None:
        self.score_threshold = score_threshold
        self.max_candidates = max_candidates
        self.method = method
        self.sigma = sigma
        self.minimum_score = minimum_score
        self.max_detections = max_detections
        self.class_agnostic = class_agnostic

    def __call__(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> PaddedDetections:
        """Candidates (B, K, 4), (B, K), (B, K) to detections, best first."""
        pack = pack_groups if is_eager_cpu(scores) else pack_images
        packed = pack(boxes, scores, groups_of(labels, self.class_agnostic))
        lowered = packed.scores * decay_at_once(packed, self._ratio)
        scores = packed.unpack(lowered, scores)
        return best_first(boxes, scores, labels, self.minimum_score, self.max_detections)

    def _ratio(self, overlaps: Tensor, largest: Tensor) -> Tensor:
        if self.method == "gaussian":
            return ((largest.square() - overlaps.square()) / self.sigma).exp()
        return (1 - overlaps).clamp(min=0) / (1 - largest).clamp(min=EPSILON)
