"""SimOTA: assignment by the classification and box loss of each prior."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from detkit.ops.boxes import box_centres, box_sides, iou
from detkit.ops.chunks import row_chunks
from detkit.ops.groups import positions_in_groups
from detkit.registry import NonNegativeFloat, PositiveFloat, PositiveInt, register
from detkit.structures import BACKGROUND, Assignment, Priors, Target

_LEAST = 1e-8  # lower limit of scores and IoUs in logarithms, as in the paper's code
_FAR = 1e4  # above any cost, and small enough that float32 still resolves costs added to it


class _Pairs(NamedTuple):
    """K pairs of an object and a prior, in the order of the objects."""

    object: Tensor  # (K,)
    prior: Tensor  # (K,)
    cost: Tensor  # (K,)

    def keep(self, mask: Tensor) -> _Pairs:
        return _Pairs(*(values[mask] for values in self))


@register("assigner", "sim_ota")
class SimOTAAssigner:
    """Each object takes its cheapest priors; the number adapts to how well predictions overlap it.

    A prior with its centre inside an object, or near the object's centre, costs the cross entropy
    of its class scores plus `overlap_cost` * -ln(IoU) of its predicted box. An object takes k
    priors: the sum of its `topk` highest IoUs, rounded down, at least 1. Priors that are both
    inside and near come first. A prior claimed by several objects goes to the one with the lowest
    cost. Priors that are neither inside nor near are excluded; the paper's code takes them last.
    In a head with objectness, a class score is the class probability times the objectness; the
    paper's code takes the square root of this product.

    Paper: YOLOX: Exceeding YOLO Series in 2021 (Ge et al., 2021), section 2.2,
        https://arxiv.org/abs/2107.08430; it simplifies OTA, https://arxiv.org/abs/2103.14259

    Args:
        topk: How many of an object's highest IoUs are summed to get k.
        centre_radius: Half the side, in strides, of the square around an object's centre in which
            a prior's centre counts as near.
        overlap_cost: Weight of the IoU cost relative to the class cost.
    """

    uses_predictions = True

    def __init__(
        self,
        *,
        topk: PositiveInt = 10,
        centre_radius: PositiveFloat = 2.5,
        overlap_cost: NonNegativeFloat = 3.0,
    ) -> None:
        self.topk = topk
        self.centre_radius = centre_radius
        self.overlap_cost = overlap_cost

    def __call__(
        self, priors: Priors, scores: Tensor | None, boxes: Tensor | None, target: Target
    ) -> Assignment:
        """Match priors and objects by cost."""
        if scores is None or boxes is None:
            raise ValueError("assigner 'sim_ota' uses predictions, got none: pass scores and boxes")
        matched = torch.full_like(priors.level, BACKGROUND)
        if len(target) == 0:
            return Assignment(matched)
        log_scores = scores.clamp(_LEAST, 1 - _LEAST).log()
        log_others = torch.log1p(-scores.clamp(_LEAST, 1 - 1e-7))
        pairs_by_chunk = [
            self._cheapest_pairs(priors, (log_scores, log_others), boxes, target, chunk)
            for chunk in row_chunks(len(target), len(matched))
        ]
        pairs = _Pairs(*(torch.cat(values) for values in zip(*pairs_by_chunk, strict=True)))
        pairs = pairs.keep(positions_in_groups(-pairs.cost, pairs.prior) == 0)
        matched[pairs.prior] = pairs.object
        return Assignment(matched)

    def _cheapest_pairs(
        self,
        priors: Priors,
        logarithms: tuple[Tensor, Tensor],
        boxes: Tensor,
        target: Target,
        chunk: slice,
    ) -> _Pairs:
        """The k cheapest pairs of each object in a chunk."""
        objects = target.boxes[chunk]  # (n, 4)
        inside, near = self._inside_and_near(priors, objects)
        number, prior = (inside | near).nonzero(as_tuple=True)  # (K,)
        overlap = iou(boxes[prior], objects[number])
        highest = torch.where(positions_in_groups(overlap, number) < self.topk, overlap, 0)
        pair_counts = overlap.new_zeros(len(objects)).index_add_(0, number, highest)
        pair_counts = pair_counts.long().clamp(min=1)  # (n,)
        cost = _class_cost(logarithms, prior, target.labels[chunk][number])
        cost = cost - self.overlap_cost * (overlap + _LEAST).log()
        cost = cost + _FAR * ~(inside & near)[number, prior]
        pairs = _Pairs(number + chunk.start, prior, cost)
        return pairs.keep(positions_in_groups(-cost, number) < pair_counts[number])

    def _inside_and_near(self, priors: Priors, objects: Tensor) -> tuple[Tensor, Tensor]:
        """(n, P) whether a prior's centre is inside an object, and whether near its centre."""
        offset = (box_centres(priors.boxes) - box_centres(objects)[:, None]).abs()  # (n, P, 2)
        inside = (offset < box_sides(objects)[:, None] / 2).all(dim=-1)
        near = (offset < self.centre_radius * priors.stride[:, None]).all(dim=-1)
        return inside, near


def _class_cost(logarithms: tuple[Tensor, Tensor], prior: Tensor, label: Tensor) -> Tensor:
    """(K,) binary cross entropy of the scores of a prior, summed over classes.

    The cost of all classes as absent is one number per prior; the labelled class adds its
    difference. This needs no tensor of pairs times classes.
    """
    log_scores, log_others = logarithms  # (P, C)
    as_background = -log_others.sum(dim=1)
    return as_background[prior] + log_others[prior, label] - log_scores[prior, label]
