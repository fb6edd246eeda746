"""Task-aligned assignment: the predictions that are best in both class and box."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from detkit.ops.boxes import box_centres, box_sides, iou
from detkit.ops.chunks import row_chunks
from detkit.ops.groups import largest_in_groups, positions_in_groups
from detkit.ops.initial_boxes import initial_boxes
from detkit.registry import Fraction, NonNegativeFloat, PositiveFloat, PositiveInt, register
from detkit.structures import BACKGROUND, Assignment, Priors, Target


class _Pairs(NamedTuple):
    """K pairs of an object and a prior, in the order of the objects."""

    object: Tensor  # (K,)
    prior: Tensor  # (K,)
    alignment: Tensor  # (K,)
    overlap: Tensor  # (K,)
    untrained: Tensor  # (K,) bool: no prediction overlaps the object yet
    best: Tensor  # (K,) bool: the object's highest alignment

    def keep(self, mask: Tensor) -> _Pairs:
        return _Pairs(*(values[mask] for values in self))


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
        least_overlap: Fraction = 0.1,
        least_cells: NonNegativeFloat = 2.0,
        keep_best: bool = True,
    ) -> None:
        self.topk = topk
        self.alpha = alpha
        self.beta = beta
        self.least_overlap = least_overlap
        self.least_cells = least_cells
        self.keep_best = keep_best

    def __call__(
        self, priors: Priors, scores: Tensor | None, boxes: Tensor | None, target: Target
    ) -> Assignment:
        """Match priors and objects by alignment; returns soft class targets as scores."""
        if scores is None or boxes is None:
            raise ValueError(
                "assigner 'task_aligned' uses predictions, got none: pass scores and boxes"
            )
        matched = torch.full_like(priors.level, BACKGROUND)
        soft = torch.ones_like(priors.stride)
        if len(target) == 0:
            return Assignment(matched, soft)
        pairs_by_chunk = [
            self._best_pairs(priors, scores, boxes, target, chunk)
            for chunk in row_chunks(len(target), len(matched))
        ]
        pairs = _Pairs(*(torch.cat(values) for values in zip(*pairs_by_chunk, strict=True)))
        claims = pairs.overlap + 1.0 * pairs.best if self.keep_best else pairs.overlap
        pairs = pairs.keep(positions_in_groups(claims, pairs.prior) == 0)
        matched[pairs.prior] = pairs.object
        soft[pairs.prior] = _soft_targets(pairs, len(target))
        return Assignment(matched, soft)

    def _best_pairs(
        self, priors: Priors, scores: Tensor, boxes: Tensor, target: Target, chunk: slice
    ) -> _Pairs:
        """Up to `topk` pairs for each object in a chunk."""
        objects = target.boxes[chunk]  # (n, 4)
        number, prior = self._inside(priors, objects).nonzero(as_tuple=True)  # (K,)
        overlap = iou(boxes[prior], objects[number])
        best = largest_in_groups(overlap, number, len(objects))
        untrained = (best < self.least_overlap)[number]
        if self.least_overlap > 0:
            typical = iou(initial_boxes(priors)[prior], objects[number])
            overlap = torch.where(untrained, typical, overlap)
        score = scores[prior, target.labels[chunk][number]]
        alignment = score**self.alpha * overlap**self.beta
        ranks = positions_in_groups(alignment, number)
        pairs = _Pairs(number + chunk.start, prior, alignment, overlap, untrained, ranks == 0)
        return pairs.keep((ranks < self.topk) & (alignment > 0))

    def _inside(self, priors: Priors, objects: Tensor) -> Tensor:
        """(n, P) whether a prior's centre is inside an object."""
        reach = box_sides(objects).clamp(min=self.least_cells * priors.stride.amin()) / 2
        offset = (box_centres(priors.boxes) - box_centres(objects)[:, None]).abs()  # (n, P, 2)
        return (offset < reach[:, None]).all(dim=-1)


def _soft_targets(pairs: _Pairs, count: int) -> Tensor:
    """(K,) alignments, scaled to the highest IoU of each object."""
    most_aligned = largest_in_groups(pairs.alignment, pairs.object, count)[pairs.object]
    highest = largest_in_groups(pairs.overlap, pairs.object, count)[pairs.object]
    highest = highest.masked_fill(pairs.untrained, 1.0)
    return pairs.alignment / most_aligned * highest
