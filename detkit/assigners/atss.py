"""ATSS: an adaptive IoU threshold for each object."""

from __future__ import annotations

import torch
from torch import Tensor

from detkit.ops.boxes import box_centres, iou
from detkit.ops.chunks import row_chunks
from detkit.registry import PositiveInt, register
from detkit.structures import BACKGROUND, Assignment, Priors, Target

LEAST_DISTANCE = (
    0.01  # pixels from a positive prior's centre to its object's border, as in the paper's code
)


@register("assigner", "atss")
class ATSSAssigner:
    """An adaptive IoU threshold for each object, from the priors nearest to its centre.

    An object's candidates are the `topk` nearest priors of each level. A candidate is positive if
    its centre is inside the object and its IoU reaches the mean plus the standard deviation of the
    candidates' IoUs. A prior claimed by several objects goes to the one with the highest IoU.

    Paper: Bridging the Gap Between Anchor-based and Anchor-free Detection via Adaptive Training
        Sample Selection (Zhang et al., 2020), algorithm 1, https://arxiv.org/abs/1912.02424

    Args:
        topk: Candidates per object and level. Scale with the number of priors per cell.
    """

    uses_predictions = False

    def __init__(self, *, topk: PositiveInt = 9) -> None:
        self.topk = topk

    def __call__(
        self, priors: Priors, scores: Tensor | None, boxes: Tensor | None, target: Target
    ) -> Assignment:
        """Match priors and objects by centre distance, then by IoU."""
        matched = torch.full_like(priors.level, BACKGROUND)
        # -1 is below every IoU and marks unclaimed priors; the highest IoU wins a contested prior.
        best = torch.full_like(priors.stride, -1.0)
        for chunk in row_chunks(len(target), len(matched)):
            values, index = self._claims(priors, target.boxes[chunk]).max(dim=1)
            matched = torch.where(values > best, index + chunk.start, matched)
            best = best.maximum(values)
        return Assignment(matched)

    def _claims(self, priors: Priors, objects: Tensor) -> Tensor:
        """(P, n) IoU where an object claims a prior, else -1."""
        centres = box_centres(priors.boxes)  # (P, 2)
        candidates = self._candidates(centres, priors.level, box_centres(objects))  # (K, n)
        overlaps = iou(priors.boxes[candidates], objects)  # (K, n)
        spread = overlaps.std(dim=0) if len(overlaps) > 1 else torch.zeros_like(overlaps[0])
        threshold = overlaps.mean(dim=0) + spread
        points = centres[candidates]  # (K, n, 2)
        inside = torch.cat([points - objects[:, :2], objects[:, 2:] - points], dim=-1)
        positive = (overlaps >= threshold) & (inside.amin(dim=-1) > LEAST_DISTANCE)
        claims = overlaps.new_full((len(centres), len(objects)), -1.0)
        return claims.scatter_(0, candidates, torch.where(positive, overlaps, -1.0))

    def _candidates(self, centres: Tensor, level: Tensor, objects: Tensor) -> Tensor:
        """Indices of the nearest priors of each level, one column per object: (K, n)."""
        nearest, start = [], 0
        for block in torch.split(centres, level.bincount().tolist()):
            # Not `cdist`, whose matrix product is off by 0.01 pixels and reorders near ties.
            distance = (block[:, None] - objects).square().sum(dim=-1)
            count = min(self.topk, len(block))
            nearest.append(distance.topk(count, dim=0, largest=False).indices + start)
            start += len(block)
        return torch.cat(nearest)
