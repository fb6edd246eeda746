"""No suppression of overlapping boxes."""

from __future__ import annotations

from torch import Tensor

from detkit.ops.ranking import best_first
from detkit.registry import Fraction, PositiveInt, register
from detkit.structures import PaddedDetections


@register("postprocess", "none")
class KeepBest:
    """Keeps the best candidates unchanged, for heads that predict each object once.

    Args:
        score_threshold: Candidates must score above this.
        max_candidates: Candidates kept per level before boxes are decoded.
        max_detections: Detections kept per image.
    """

    def __init__(
        self,
        *,
        score_threshold: Fraction = 0.05,
        max_candidates: PositiveInt = 1000,
        max_detections: PositiveInt = 100,
    ) -> None:
        self.score_threshold = score_threshold
        self.max_candidates = max_candidates
        self.max_detections = max_detections

    def __call__(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> PaddedDetections:
        """Candidates (B, K, 4), (B, K), (B, K) to detections, best first."""
        return best_first(boxes, scores, labels, 0.0, self.max_detections)
