"""An assigner: decides which priors are responsible for which objects."""

from __future__ import annotations

import torch
from torch import Tensor

from detkit import register
from detkit.errors import UserError
from detkit.ops import pairwise_iou
from detkit.registry import Fraction
from detkit.structures import BACKGROUND, IGNORED, Assignment, Priors, Target


@register("assigner", "my_assigner")
class MyAssigner:
    """Assigns each prior to the object that it overlaps most, and each object to its best prior.

    Args:
        foreground: A prior with at least this IoU is positive.
        background: A prior with a lower IoU is negative; between the two it is ignored.
    """

    uses_predictions = False  # so `scores` and `boxes` are None

    def __init__(self, *, foreground: Fraction = 0.5, background: Fraction = 0.4) -> None:
        if background > foreground:
            raise UserError(
                f"assigner 'my_assigner': background {background} is above foreground "
                f"{foreground}: lower background or raise foreground."
            )
        self.foreground = foreground
        self.background = background

    def __call__(
        self, priors: Priors, scores: Tensor | None, boxes: Tensor | None, target: Target
    ) -> Assignment:
        """Match the P priors and the N objects of one image; N may be 0."""
        if len(target) == 0:
            return Assignment(torch.full_like(priors.level, BACKGROUND))
        overlaps = pairwise_iou(target.boxes, priors.boxes)  # (N, P)
        highest, matched = overlaps.max(dim=0)  # (P,) each
        assigned = matched.masked_fill(highest < self.foreground, IGNORED)
        assigned = assigned.masked_fill(highest < self.background, BACKGROUND)
        best_iou, best_prior = overlaps.max(dim=1)  # (N,) each
        touched = best_iou > 0  # an object that overlaps no prior has no best prior
        assigned[best_prior[touched]] = touched.nonzero().squeeze(1)
        return Assignment(assigned)
