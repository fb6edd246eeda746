"""Hungarian matching: one prediction for each object, at the lowest total cost."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from detkit.assigners.claims import scores_of_labels
from detkit.ops.boxes import box_centres, box_sides, generalized_iou
from detkit.registry import NonNegativeFloat, register
from detkit.structures import BACKGROUND, Assignment, PaddedTargets, Priors

_log = logging.getLogger("detkit.assigners")
_FAR = 1e6  # in place of a cost that is not finite, which SciPy refuses


@register("assigner", "hungarian")
class HungarianAssigner:
    """Each object takes exactly one prediction, so that the total cost of the image is lowest.

    The cost of a pair is minus the score of the object's class, the L1 distance of centres and
    sides as shares of the prior's sides, and minus the generalised IoU. The prior of a query is the
    whole image, as in the paper. If there are more objects than predictions, some stay unassigned,
    and one warning says so. The host solves all images of a batch from one copy of the costs.

    Paper: End-to-End Object Detection with Transformers (Carion et al., 2020), equations 1 and 9,
        https://arxiv.org/abs/2005.12872

    Args:
        class_cost: Weight of the class score.
        code_cost: Weight of the L1 distance.
        overlap_cost: Weight of the generalised IoU.
    """

    uses_predictions = True
    runs_on_host = True  # so trainer.compile leaves assignment and losses out of its graph

    def __init__(
        self,
        *,
        class_cost: NonNegativeFloat = 1.0,
        code_cost: NonNegativeFloat = 5.0,
        overlap_cost: NonNegativeFloat = 2.0,
    ) -> None:
        self.class_cost = class_cost
        self.code_cost = code_cost
        self.overlap_cost = overlap_cost
        self._has_warned = False

    def __call__(
        self, priors: Priors, scores: Tensor | None, boxes: Tensor | None, targets: PaddedTargets
    ) -> Assignment:
        """Match predictions and objects."""
        self._warn_of_too_many(max(targets.counts, default=0), priors.boxes.shape[-2])
        if scores is None or boxes is None:
            raise ValueError("assigner 'hungarian' uses predictions, got none: pass scores, boxes")
        overlap = generalized_iou(boxes[:, None], targets.boxes[:, :, None])  # (B, N, P)
        sides = box_sides(priors.boxes).repeat(*[1] * (priors.boxes.dim() - 1), 2)  # (..., P, 4)
        sides = sides.unsqueeze(-3)
        distance = (_codes(boxes)[:, None] - _codes(targets.boxes)[:, :, None]) / sides
        cost = self.code_cost * distance.abs().sum(dim=-1)
        cost = cost - self.class_cost * scores_of_labels(scores, targets.labels)
        cost = cost - self.overlap_cost * overlap
        cost = cost.nan_to_num(_FAR, _FAR, _FAR)
        return Assignment(_cheapest(cost, targets.counts).to(cost.device))

    def _warn_of_too_many(self, objects: int, predictions: int) -> None:
        if objects > predictions and not self._has_warned:
            self._has_warned = True
            _log.warning(
                "an image has %d objects but only %d predictions, so some objects are not learned: "
                "raise model.head.queries above the objects of any image.",
                objects,
                predictions,
            )


def _codes(boxes: Tensor) -> Tensor:
    """Boxes (..., 4) as centre and sides."""
    return torch.cat([box_centres(boxes), box_sides(boxes)], dim=-1)


@torch.compiler.disable  # type: ignore[untyped-decorator]  # of torch
def _cheapest(cost: Tensor, counts: Sequence[int]) -> Tensor:
    """(B, P) int64 object of each prediction, on the host; `cost` is (B, N, P)."""
    costs = cost.cpu().numpy()  # the only copy of a step
    matched = np.full((costs.shape[0], costs.shape[2]), BACKGROUND, dtype=np.int64)
    for image, count in enumerate(counts):
        objects, predictions = linear_sum_assignment(costs[image, :count])
        matched[image, predictions] = objects
    return torch.from_numpy(matched)
