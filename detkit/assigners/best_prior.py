"""SSD's assignment: an IoU threshold, plus the best prior for each object."""

from __future__ import annotations

import torch
from torch import Tensor

from detkit.ops.boxes import pairwise_iou
from detkit.ops.chunks import row_chunks
from detkit.registry import Fraction, register
from detkit.structures import BACKGROUND, Assignment, Priors, Target


@register("assigner", "best_prior")
class BestPriorAssigner:
    """Each object takes its best prior at any IoU, and every prior above an IoU threshold.

    If two objects share a best prior, it goes to the object with the higher IoU (the first of two
    equal ones), and the other object takes its best free prior. torchvision gives it to the last
    object and leaves the other unassigned. An object that overlaps no prior stays unassigned.

    Paper: SSD: Single Shot MultiBox Detector (Liu et al., 2016), section 2.2,
        https://arxiv.org/abs/1512.02325

    Args:
        foreground: Priors with at least this IoU are positive too; all others are background.
    """

    uses_predictions = False

    def __init__(self, *, foreground: Fraction = 0.5) -> None:
        self.foreground = foreground

    def __call__(
        self, priors: Priors, scores: Tensor | None, boxes: Tensor | None, target: Target
    ) -> Assignment:
        """Match priors and objects by IoU."""
        matched = _matched_by_overlap(priors.boxes, target.boxes, self.foreground)
        owners = torch.full_like(matched, BACKGROUND)
        waiting = torch.arange(len(target), device=matched.device)
        while len(waiting) > 0:  # repeats while objects share a best prior; usually one round
            best, prior = _best_free_priors(priors.boxes, target.boxes[waiting], owners >= 0)
            prior, waiting, best = prior[best > 0], waiting[best > 0], best[best > 0]
            winners = _first_with_most(best, prior, len(owners))
            owners[prior[winners]] = waiting[winners]
            waiting = waiting[~winners]
        return Assignment(torch.where(owners >= 0, owners, matched))


def _matched_by_overlap(priors: Tensor, objects: Tensor, foreground: float) -> Tensor:
    """(P,) the object with the highest IoU per prior (the first of equals), or background."""
    best = priors.new_zeros(len(priors))
    matched = torch.full((len(priors),), BACKGROUND, device=priors.device)
    for chunk in row_chunks(len(objects), len(priors)):
        values, index = pairwise_iou(objects[chunk], priors).max(dim=0)
        matched = torch.where(values > best, index + chunk.start, matched)
        best = best.maximum(values)
    return matched.masked_fill(best < foreground, BACKGROUND)


def _best_free_priors(priors: Tensor, objects: Tensor, occupied: Tensor) -> tuple[Tensor, Tensor]:
    """(N,) the highest IoU of each object with a free prior, and the index of that prior."""
    values, index = [], []
    for chunk in row_chunks(len(objects), len(priors)):
        overlaps = pairwise_iou(objects[chunk], priors).masked_fill(occupied, 0)  # (n, P)
        highest = overlaps.max(dim=1)
        values.append(highest.values)
        index.append(highest.indices)
    return torch.cat(values), torch.cat(index)


def _first_with_most(values: Tensor, prior: Tensor, count: int) -> Tensor:
    """(N,) whether an object has the highest value for its prior; the first of equals wins."""
    most = values.new_zeros(count).scatter_reduce_(0, prior, values, "amax")
    number = torch.arange(len(values), device=values.device)
    number = torch.where(values == most[prior], number, len(values))
    first = number.new_full((count,), len(values)).scatter_reduce_(0, prior, number, "amin")
    return number == first[prior]
