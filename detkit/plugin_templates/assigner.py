"""An assigner: decides which priors are responsible for which objects."""

from __future__ import annotations

import torch
from torch import Tensor

from detkit import register
from detkit.errors import UserError
from detkit.ops import pairwise_iou
from detkit.registry import Fraction
from detkit.structures import BACKGROUND, IGNORED, Assignment, PaddedTargets, Priors


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
        self, priors: Priors, scores: Tensor | None, boxes: Tensor | None, targets: PaddedTargets
    ) -> Assignment:
        """Match the P priors and the N objects of B images; some objects may be padding."""
        objects = targets.distant_padding()  # (B, N, 4); the padding overlaps nothing
        overlaps = pairwise_iou(objects, priors.boxes)  # (B, N, P)
        highest, matched = overlaps.max(dim=1)  # (B, P) each
        assigned = matched.masked_fill(highest < self.foreground, IGNORED)
        assigned = assigned.masked_fill(highest < self.background, BACKGROUND)
        best_prior = overlaps.argmax(dim=2, keepdim=True)  # (B, N, 1)
        is_best = torch.zeros_like(overlaps).scatter_(2, best_prior, 1.0)  # (B, N, P)
        best, owner = (overlaps * is_best).max(dim=1)  # 0: best prior of no object
        assigned = torch.where(best > 0, owner, assigned)
        has_objects = targets.mask.any(dim=1, keepdim=True)  # (B, 1)
        return Assignment(torch.where(has_objects, assigned, BACKGROUND))
