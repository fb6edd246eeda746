"""Assignment by overlap."""

from __future__ import annotations

import torch
from torch import Tensor

from detkit.errors import UserError
from detkit.ops.boxes import pairwise_iou
from detkit.registry import Fraction, register
from detkit.structures import BACKGROUND, IGNORED, Assignment, Priors, Target


@register("assigner", "max_iou")
class MaxIoUAssigner:
    """Each prior takes the object that it overlaps most, if it overlaps it enough.

    Paper: Faster R-CNN (Ren et al., 2015), section 3.1.2, https://arxiv.org/abs/1506.01497

    Args:
        foreground: A prior with at least this IoU is positive.
        background: A prior with less than this IoU is negative; those between count as neither.
        low_quality: Priors that have the highest IoU with some object are positive all the same.
    """

    uses_predictions = False

    def __init__(
        self,
        *,
        foreground: Fraction = 0.5,
        background: Fraction = 0.4,
        low_quality: bool = True,
    ) -> None:
        if background > foreground:
            raise UserError(
                f"assigner 'max_iou': background {background} is above foreground {foreground}: "
                "lower background or raise foreground."
            )
        self.foreground = foreground
        self.background = background
        self.low_quality = low_quality

    def __call__(
        self, priors: Priors, scores: Tensor | None, boxes: Tensor | None, target: Target
    ) -> Assignment:
        """Match priors and objects by IoU."""
        if len(target) == 0:
            return Assignment(priors.level.new_full((len(priors.level),), BACKGROUND))
        overlaps = pairwise_iou(target.boxes, priors.boxes)  # (N, P)
        best, matched = overlaps.max(dim=0)
        assigned = matched.masked_fill(best < self.foreground, IGNORED)
        assigned = assigned.masked_fill(best < self.background, BACKGROUND)
        if self.low_quality:
            # All priors that share an object's highest IoU; each takes its own best object, which
            # need not be that one (as in Detectron and torchvision).
            is_best = (overlaps == overlaps.amax(dim=1, keepdim=True)).any(dim=0)
            assigned = torch.where(is_best, matched, assigned)
        return Assignment(assigned)
