"""Assignment by how well class and box of a prediction agree with an object."""

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
    best: Tensor  # (K,) bool: the best aligned of the object

    def keep(self, kept: Tensor) -> _Pairs:
        return _Pairs(*(values[kept] for values in self))


@register("assigner", "task_aligned")
class TaskAlignedAssigner:
    """Each object takes the priors inside it whose predictions are best in class and box at once.

    With s the score of the object's class and u the IoU of the predicted box, the `topk` priors
    with the highest alignment s^alpha * u^beta are positive. A prior that several objects want goes
    to the one with the highest IoU. The target of a class score is soft: the alignment, scaled so
    that the best prior of an object has the object's highest IoU as its target.

    Three additions keep objects from being lost, all can be turned off. The paper trains its first
    epochs with ATSS; here `least_overlap` does what that is for, object by object. An object that
    lies between the centres of all cells counts as a little larger when priors inside it are looked
    for. And one that lies in another does not lose its last prior to it.

    Paper: TOOD: Task-aligned One-stage Object Detection (Feng et al., 2021), section 3.2,
        https://arxiv.org/abs/2108.07755

    Args:
        topk: Most priors of an object, over all levels.
        alpha: Exponent of the class score.
        beta: Exponent of the IoU.
        least_overlap: An object that no prediction inside it overlaps so much is matched as if each
            prior predicted its own box (a point: one of four strides), and its best prior's target
            is 1, so that it is learned at all. 0 does without.
        least_cells: Sides shorter than so many cells of the finest level count as that long when
            priors inside an object are looked for. 0 does without.
        keep_best: Whether the prior with an object's highest alignment is its own, also where
            another object, for which it is not the best, has a higher IoU.
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
        """Match priors and objects by alignment; the scores are the soft targets of classes."""
        if scores is None or boxes is None:
            raise ValueError(
                "assigner 'task_aligned' uses predictions, got none: pass scores and boxes"
            )
        matched = torch.full_like(priors.level, BACKGROUND)
        soft = torch.ones_like(priors.stride)
        if len(target) == 0:
            return Assignment(matched, soft)
        found = [
            self._best_pairs(priors, scores, boxes, target, chunk)
            for chunk in row_chunks(len(target), len(matched))
        ]
        pairs = _Pairs(*(torch.cat(values) for values in zip(*found, strict=True)))
        claims = pairs.overlap + 1.0 * pairs.best if self.keep_best else pairs.overlap
        pairs = pairs.keep(positions_in_groups(claims, pairs.prior) == 0)
        matched[pairs.prior] = pairs.object
        soft[pairs.prior] = _soft_targets(pairs, len(target))
        return Assignment(matched, soft)

    def _best_pairs(
        self, priors: Priors, scores: Tensor, boxes: Tensor, target: Target, chunk: slice
    ) -> _Pairs:
        """Up to `topk` pairs of each object of a chunk."""
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
        """(n, P) whether the centre of a prior lies inside an object."""
        reach = box_sides(objects).clamp(min=self.least_cells * priors.stride.amin()) / 2
        offset = (box_centres(priors.boxes) - box_centres(objects)[:, None]).abs()  # (n, P, 2)
        return (offset < reach[:, None]).all(dim=-1)


def _soft_targets(pairs: _Pairs, count: int) -> Tensor:
    """(K,) the alignment, scaled to the highest IoU of its object."""
    most_aligned = largest_in_groups(pairs.alignment, pairs.object, count)[pairs.object]
    highest = largest_in_groups(pairs.overlap, pairs.object, count)[pairs.object]
    highest = highest.masked_fill(pairs.untrained, 1.0)
    return pairs.alignment / most_aligned * highest
