"""Softer-NMS: boxes are averages of their neighbours, weighted by predicted variances."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from detkit.ops.boxes import iou, pairwise_iou
from detkit.ops.ranking import best_first, ranked
from detkit.ops.rows import take_rows
from detkit.ops.suppression import suppress_in_turn
from detkit.postprocess.groups import groups_of
from detkit.registry import Fraction, PositiveFloat, PositiveInt, register
from detkit.structures import PaddedDetections


@register("postprocess", "variance_voting")
class VarianceVoting:
    """Soft-NMS in which each box that is kept moves to the average of its neighbours.

    Voters are the box itself and the worse boxes of its class that overlap it. Each side is their
    average, weighted by exp(-(1 - IoU)^2 / voting_sigma) / variance. Scores are those of Gaussian
    soft-NMS. Without predicted variances (box coder `corner_variance`), all variances are equal.

    The authors' code removes boxes whose score has fallen below the minimum from later votes; here
    they vote, as in the paper's algorithm 1.

    Paper: Bounding Box Regression with Uncertainty for Accurate Object Detection (He et al., 2019),
        section 3.3, https://arxiv.org/abs/1809.08545

    Args:
        score_threshold: Candidates must score above this, before scores are lowered.
        max_candidates: Candidates kept per level before boxes are decoded.
        sigma: Of soft-NMS: smaller values lower scores more.
        voting_sigma: Smaller values give distant neighbours less weight.
        voting_iou: Neighbours must overlap the box by more than this.
        minimum_score: Detections must score above this, after scores are lowered.
        max_detections: Detections kept per image; the time grows with it.
        class_agnostic: Whether boxes suppress and move each other across classes.
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
        sigma: PositiveFloat = 0.5,
        voting_sigma: PositiveFloat = 0.02,
        voting_iou: Fraction = 0.01,
        minimum_score: Fraction = 0.001,
        max_detections: PositiveInt = 100,
        class_agnostic: bool = False,
    ) -> None:
        self.score_threshold = score_threshold
        self.max_candidates = max_candidates
        self.sigma = sigma
        self.voting_sigma = voting_sigma
        self.voting_iou = voting_iou
        self.minimum_score = minimum_score
        self.max_detections = max_detections
        self.class_agnostic = class_agnostic

    def __call__(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> PaddedDetections:
        """Candidates (B, K, 4), (B, K), (B, K) to detections; all variances are equal."""
        return self.vote(boxes, scores, labels, torch.ones_like(boxes))

    def vote(
        self, boxes: Tensor, scores: Tensor, labels: Tensor, variances: Tensor
    ) -> PaddedDetections:
        """Candidates (B, K, 4), (B, K), (B, K) and variances (B, K, 4) to detections."""
        groups = groups_of(labels, self.class_agnostic)
        lowered = suppress_in_turn(boxes, scores, groups, self._factors, self.max_detections)
        _, order = ranked(lowered)
        best = order[:, : self.max_detections]
        voted = self._averages(
            take_rows(boxes, order),
            take_rows(variances, order),
            # Candidates with a score of 0 do not exist.
            torch.where(scores > 0, groups, -1).gather(1, order),
        )
        boxes = boxes.scatter(1, best[..., None].expand(-1, -1, 4), voted)
        return best_first(boxes, lowered, labels, self.minimum_score, self.max_detections)

    def _factors(self, best: Tensor, candidates: Tensor) -> Tensor:
        return (iou(best, candidates).square() / -self.sigma).exp()

    def _averages(self, boxes: Tensor, variances: Tensor, groups: Tensor) -> Tensor:
        """(B, D, 4) the D best boxes after the votes of all worse ones.

        Args:
            boxes: (B, K, 4), best first.
            variances: (B, K, 4).
            groups: (B, K); boxes of different groups do not vote for each other.
        """
        limit = self.max_detections
        overlaps = pairwise_iou(boxes[:, :limit], boxes)  # (B, D, K)
        rank = torch.arange(boxes.shape[1], device=boxes.device)
        is_self = rank[:limit, None] == rank
        is_worse = rank[:limit, None] < rank
        is_neighbour = (overlaps > self.voting_iou) & (groups[:, :limit, None] == groups[:, None])
        overlaps = overlaps.masked_fill(is_self, 1)  # also for boxes without area
        logarithms = (1 - overlaps).square() / -self.voting_sigma
        logarithms = logarithms.masked_fill(~(is_self | is_worse & is_neighbour), -math.inf)
        # As a softmax, since the smallest weights underflow.
        weights = (logarithms[..., None] - variances.log()[:, None]).softmax(dim=2)
        return (weights * boxes[:, None]).sum(dim=2)
