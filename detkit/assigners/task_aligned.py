"""Task-aligned assignment: the predictions that are best in both class and box."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from detkit.assigners.claims import Claims, scores_of_labels, winners
from detkit.assigners.offsets import offsets
from detkit.ops.boxes import box_centres, box_sides, complete_iou, iou
from detkit.ops.chunks import row_chunks
from detkit.ops.initial_boxes import initial_boxes
from detkit.ops.ordered_topk import ordered_topk
from detkit.registry import Fraction, NonNegativeFloat, PositiveFloat, PositiveInt, register
from detkit.structures import Assignment, PaddedTargets, Priors


def _complete_iou(first: Tensor, second: Tensor) -> Tensor:
    return complete_iou(first, second).clamp_(min=0)


_OVERLAPS = {"iou": iou, "ciou": _complete_iou}


class _Candidates(NamedTuple):
    """The K priors that fit each of N objects best, best first."""

    prior: Tensor  # (B, N, K)
    alignment: Tensor  # (B, N, K), 0 if there are fewer priors
    overlap: Tensor  # (B, N, K)
    untrained: Tensor  # (B, N, 1) bool: no prediction overlaps the object yet


@register("assigner", "task_aligned")
class TaskAlignedAssigner:
    """Each object takes the priors inside it whose predictions are best in both class and box.

    With s the score of the object's class and u the IoU of the predicted box, the `topk` priors
    with the highest alignment s^alpha * u^beta are positive. A prior claimed by several objects
    goes to the one with the highest IoU. Class targets are soft: the alignment, scaled so that an
    object's best prior has the object's highest IoU as its target.

    Three optional additions keep objects from staying unassigned. The paper trains its first epochs
    with ATSS; `least_overlap` serves the same purpose for each object. `least_cells` enlarges an
    object that contains no cell's centre before the search for priors inside it. `keep_best` lets
    an object inside another one keep its last prior.

    Paper: TOOD: Task-aligned One-stage Object Detection (Feng et al., 2021), section 3.2,
        https://arxiv.org/abs/2108.07755

    Args:
        topk: Maximum number of priors per object, over all levels.
        alpha: Exponent of the class score.
        beta: Exponent of the IoU.
        overlap: The u of the equation. `ciou` is the complete IoU, at least 0, as in Ultralytics;
            it also lowers u for distant centres and other aspect ratios.
        least_overlap: If no prediction inside an object reaches this IoU, match the object as if
            each prior predicted its own box (a point: a box of four strides), with target 1 for
            the best prior, so that training can start. 0 turns it off.
        least_cells: Minimum side of an object, in cells of the finest level, in the search for
            priors inside it. 0 turns it off.
        keep_best: Whether an object keeps the prior with its highest alignment even if another
            object, which has a better prior, has a higher IoU with it.
    """

    uses_predictions = True

    def __init__(
        self,
        *,
        topk: PositiveInt = 13,
        alpha: NonNegativeFloat = 1.0,
        beta: PositiveFloat = 6.0,
        overlap: Literal["iou", "ciou"] = "iou",
        least_overlap: Fraction = 0.1,
        least_cells: NonNegativeFloat = 2.0,
        keep_best: bool = True,
    ) -> None:
        self.topk = topk
        self.alpha = alpha
        self.beta = beta
        self.overlap = _OVERLAPS[overlap]
        self.least_overlap = least_overlap
        self.least_cells = least_cells
        self.keep_best = keep_best

    def __call__(
        self, priors: Priors, scores: Tensor | None, boxes: Tensor | None, targets: PaddedTargets
    ) -> Assignment:
        """Match priors and objects by alignment; returns soft class targets as scores."""
        if scores is None or boxes is None:
            raise ValueError(
                "assigner 'task_aligned' uses predictions, got none: pass scores and boxes"
            )
        objects = targets.distant_padding()  # (B, N, 4)
        count = priors.boxes.shape[-2]
        chunks = [
            self._candidates(priors, scores, boxes, objects[:, chunk], targets.labels[:, chunk])
            for chunk in row_chunks(objects.shape[1], len(objects) * count)
        ]
        best = _Candidates(*(torch.cat(values, dim=1) for values in zip(*chunks, strict=True)))
        rank = best.overlap
        if self.keep_best:
            rank = rank + (torch.arange(rank.shape[2], device=rank.device) == 0)
        matched, won = winners(Claims(best.prior, rank, best.alignment > 0), count)
        soft = torch.ones_like(matched, dtype=best.alignment.dtype)
        return Assignment(matched, _spread(soft, best.prior, won, _soft_targets(best, won)))

    def _candidates(
        self, priors: Priors, scores: Tensor, boxes: Tensor, objects: Tensor, labels: Tensor
    ) -> _Candidates:
        """The priors with the highest alignment for each object (B, n, 4)."""
        inside = self._inside(priors, objects)  # (B, n, P)
        overlap = self.overlap(boxes[:, None], objects[:, :, None]).where(inside, 0)
        untrained = overlap.amax(dim=2, keepdim=True) < self.least_overlap
        if self.least_overlap > 0:
            typical = self.overlap(initial_boxes(priors).unsqueeze(-3), objects[:, :, None])
            overlap = torch.where(untrained, typical, overlap)
        alignment = scores_of_labels(scores, labels) ** self.alpha * overlap**self.beta
        alignment, prior = ordered_topk(alignment.where(inside, 0), min(self.topk, inside.shape[2]))
        return _Candidates(prior, alignment, overlap.gather(2, prior), untrained)

    def _inside(self, priors: Priors, objects: Tensor) -> Tensor:
        """(B, n, P) whether a prior's centre is inside an object."""
        least = self.least_cells * priors.stride.amin(dim=-1)[..., None, None]
        reach_x, reach_y = (box_sides(objects).clamp(min=least) / 2).unsqueeze(-2).unbind(dim=-1)
        x, y = offsets(box_centres(priors.boxes), box_centres(objects))
        return (x.abs_() < reach_x) & (y.abs_() < reach_y)


def _soft_targets(best: _Candidates, won: Tensor) -> Tensor:
    """(B, N, K) alignments, scaled to the highest IoU of each object among the priors it won."""
    most_aligned = best.alignment.where(won, 0).amax(dim=2, keepdim=True)
    highest = best.overlap.where(won, 0).amax(dim=2, keepdim=True)
    return best.alignment / most_aligned * highest.masked_fill(best.untrained, 1.0)


def _spread(soft: Tensor, prior: Tensor, won: Tensor, values: Tensor) -> Tensor:
    """Write values (B, N, K) to the priors that were won; no prior is won twice."""
    priors = soft.shape[1]
    target = prior.masked_fill(~won, priors).flatten(1)  # a further column takes all others
    return F.pad(soft, (0, 1)).scatter_(1, target, values.flatten(1))[:, :priors]
