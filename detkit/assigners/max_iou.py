"""Assignment by IoU thresholds."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from detkit.assigners.claims import unmatched
from detkit.errors import UserError
from detkit.ops.boxes import pairwise_iou
from detkit.ops.chunks import row_chunks
from detkit.registry import Fraction, register
from detkit.structures import BACKGROUND, IGNORED, Assignment, PaddedTargets, Priors


@register("assigner", "max_iou")
class MaxIoUAssigner:
    """Each prior takes the object with the highest IoU, if it exceeds a threshold.

    As in Detectron and torchvision, a low-quality match goes to the prior's best object, which need
    not be the object that has this prior as its best. An object that overlaps no prior makes none
    positive; in Detectron and torchvision it makes every prior that does not overlap it positive.

    Paper: Faster R-CNN (Ren et al., 2015), section 3.1.2, https://arxiv.org/abs/1506.01497

    Args:
        foreground: A prior with at least this IoU is positive.
        background: A prior with less than this IoU is negative; priors in between are ignored.
        background_at_least: A prior with less than this IoU is ignored, unless its image has no
            object. Fast R-CNN uses 0.1, so that it learns from background near objects.
        low_quality: Whether the best priors of each object are positive at any IoU.
    """

    uses_predictions = False

    def __init__(
        self,
        *,
        foreground: Fraction = 0.5,
        background: Fraction = 0.4,
        background_at_least: Fraction = 0.0,
        low_quality: bool = True,
    ) -> None:
        if background > foreground:
            raise UserError(
                f"assigner 'max_iou': background {background} is above foreground {foreground}: "
                "lower background or raise foreground."
            )
        self.foreground = foreground
        if background_at_least > background:
            raise UserError(
                f"assigner 'max_iou': background_at_least {background_at_least} is above "
                f"background {background}, so nothing would be negative: lower it."
            )
        self.background = background
        self.background_at_least = background_at_least
        self.low_quality = low_quality

    def __call__(
        self, priors: Priors, scores: Tensor | None, boxes: Tensor | None, targets: PaddedTargets
    ) -> Assignment:
        """Match priors and objects by IoU."""
        best, matched, is_best = _best_objects(priors.boxes, targets)
        assigned = matched.masked_fill(best < self.foreground, IGNORED)
        assigned = assigned.masked_fill(best < self.background, BACKGROUND)
        if self.background_at_least > 0:
            assigned = assigned.masked_fill(best < self.background_at_least, IGNORED)
        if self.low_quality:
            assigned = torch.where(is_best, matched, assigned)
        return Assignment(assigned.masked_fill(best < 0, BACKGROUND))


def _best_objects(priors: Tensor, targets: PaddedTargets) -> tuple[Tensor, Tensor, Tensor]:
    """The best object of each prior, from priors (P, 4) or (B, P, 4).

    Returns:
        (B, P) the highest IoU, -1 without objects; (B, P) the object, the first of equals; (B, P)
        whether the prior has the highest IoU with some object, ties included.
    """
    objects = targets.distant_padding()  # (B, N, 4), whose padding comes last and has IoU 0
    best = unmatched(priors, targets, -1.0)
    matched = torch.zeros_like(best, dtype=torch.int64)
    is_best = torch.zeros_like(best, dtype=torch.bool)
    for chunk in row_chunks(objects.shape[1], best.numel()):
        overlaps = pairwise_iou(objects[:, chunk], priors)  # (B, n, P)
        highest = overlaps.amax(dim=2, keepdim=True)
        highest = highest.masked_fill(highest <= 0, math.inf)  # no prior is best for such an object
        is_best |= (overlaps == highest).any(dim=1)
        values, index = overlaps.max(dim=1)
        matched = torch.where(values > best, index + chunk.start, matched)
        best = best.maximum(values)
    return best.masked_fill(~targets.mask.any(dim=1, keepdim=True), -1.0), matched, is_best
