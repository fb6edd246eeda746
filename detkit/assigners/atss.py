"""Assignment by the statistics of each object."""

from __future__ import annotations

import torch
from torch import Tensor

from detkit.ops.boxes import box_centres, iou
from detkit.registry import PositiveInt, register
from detkit.structures import BACKGROUND, Assignment, Priors, Target

LEAST_DISTANCE = 0.01  # pixels that a centre must lie inside its object, as in the paper's code


@register("assigner", "atss")
class ATSSAssigner:
    """Each object sets its own IoU threshold from the priors nearest to it on every level.

    The nearest `topk` priors of each level are its candidates; those with an IoU of at least the
    candidates' mean plus standard deviation, and with their centre inside, are positive. A prior
    that several objects claim goes to the one with the highest IoU.

    Paper: Bridging the Gap Between Anchor-based and Anchor-free Detection via Adaptive Training
        Sample Selection (Zhang et al., 2020), algorithm 1, https://arxiv.org/abs/1912.02424

    Args:
        topk: Candidates of an object on each level. With several priors in a cell raise it as much.
    """

    uses_predictions = False

    def __init__(self, *, topk: PositiveInt = 9) -> None:
        self.topk = topk

    def __call__(
        self, priors: Priors, scores: Tensor | None, boxes: Tensor | None, target: Target
    ) -> Assignment:
        """Match priors and objects by centre distance, then by IoU."""
        if len(target) == 0:
            return Assignment(priors.level.new_full((len(priors.level),), BACKGROUND))
        centres = box_centres(priors.boxes)  # (P, 2)
        candidates = self._candidates(centres, priors.level, box_centres(target.boxes))  # (K, N)
        found = iou(priors.boxes[candidates], target.boxes)  # (K, N)
        spread = found.std(dim=0) if len(found) > 1 else torch.zeros_like(found[0])
        threshold = found.mean(dim=0) + spread
        chosen = centres[candidates]  # (K, N, 2)
        inside = torch.cat([chosen - target.boxes[:, :2], target.boxes[:, 2:] - chosen], dim=-1)
        positive = (found >= threshold) & (inside.amin(dim=-1) > LEAST_DISTANCE)
        # -1 is below every IoU, so that an unclaimed prior shows; several claims: highest IoU wins.
        claims = found.new_full((len(centres), len(target)), -1.0)  # (P, N)
        claims.scatter_(0, candidates, torch.where(positive, found, -1.0))
        best, matched = claims.max(dim=1)
        return Assignment(matched.masked_fill(best < 0, BACKGROUND))

    def _candidates(self, centres: Tensor, level: Tensor, objects: Tensor) -> Tensor:
        """Indices of the nearest priors of each level, one column per object: (K, N)."""
        nearest, start = [], 0
        for block in torch.split(centres, level.bincount().tolist()):
            # Not `cdist`, whose matrix product is off by 0.01 pixels and so turns near ties.
            distance = (block[:, None] - objects).square().sum(dim=-1)
            count = min(self.topk, len(block))
            nearest.append(distance.topk(count, dim=0, largest=False).indices + start)
            start += len(block)
        return torch.cat(nearest)
