"""Weighted boxes fusion."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from detkit.ops.fusion import fuse_boxes
from detkit.ops.packing import pack_groups
from detkit.ops.ranking import best_first
from detkit.postprocess.groups import groups_of
from detkit.registry import Fraction, PositiveInt, register
from detkit.structures import PaddedDetections


@register("postprocess", "weighted_boxes_fusion")
class WeightedBoxesFusion:
    """Replaces overlapping boxes of a class by their mean, weighted by score.

    In the paper, boxes come from several models, and a detection has its cluster's mean score. A
    single model predicts many boxes with low scores per object, so the default is the highest
    score.

    Paper: Weighted Boxes Fusion: Ensembling Boxes from Different Object Detection Models (Solovyev
        et al., 2021), https://arxiv.org/abs/1910.13302

    Args:
        score_threshold: Candidates must score above this.
        max_candidates: Candidates kept per level before boxes are decoded; the time grows with the
            number per class.
        iou_threshold: A box joins a cluster if its IoU with the cluster's mean exceeds this.
        score: Whether a detection has the highest or the mean score of its cluster.
        max_detections: Detections kept per image.
        class_agnostic: Whether to fuse boxes across classes, with the class of the best box.
    """

    export_problem = (
        "it adds boxes to clusters in turn, and how many depends on the image: choose postprocess "
        "'nms'"
    )

    def __init__(
        self,
        *,
        score_threshold: Fraction = 0.05,
        max_candidates: PositiveInt = 200,
        iou_threshold: Fraction = 0.55,
        score: Literal["highest", "mean"] = "highest",
        max_detections: PositiveInt = 100,
        class_agnostic: bool = False,
    ) -> None:
        self.score_threshold = score_threshold
        self.max_candidates = max_candidates
        self.iou_threshold = iou_threshold
        self.score = score
        self.max_detections = max_detections
        self.class_agnostic = class_agnostic

    def __call__(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> PaddedDetections:
        """Candidates (B, K, 4), (B, K), (B, K) to detections, best first."""
        packed = pack_groups(boxes, scores, groups_of(labels, self.class_agnostic))
        clusters = fuse_boxes(packed, self.iou_threshold)
        if self.score == "mean":
            values = clusters.weights / clusters.counts.clamp(min=1)
        else:  # a cluster is stored at the position of its best box
            values = packed.scores * (clusters.counts > 0)
        fused, values = packed.unpack(clusters.boxes, scores), packed.unpack(values, scores)
        return best_first(fused, values, labels, 0.0, self.max_detections)
