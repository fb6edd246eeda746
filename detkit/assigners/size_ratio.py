"""YOLOv5's assignment: the ratio of sides, in the cell of the centre and its neighbours."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from annotated_types import Gt, Interval
from torch import Tensor

from detkit.assigners.cells import cells_away, in_cell
from detkit.assigners.claims import unmatched
from detkit.ops.boxes import box_sides
from detkit.ops.chunks import row_chunks
from detkit.registry import register
from detkit.structures import BACKGROUND, Assignment, PaddedTargets, Priors


@register("assigner", "size_ratio")
class SizeRatioAssigner:
    """Anchors of similar width and height take an object, in up to three cells per level.

    The cells are the one with the object's centre and its nearer neighbours in x and in y. All
    levels take part and no prior is ignored. YOLOv5 lets a prior learn several objects; here it
    takes the object with the smallest ratio, the first of equals. An object that fits no anchor
    stays unassigned; `detkit data anchors` counts such objects.

    Paper: Scaled-YOLOv4: Scaling Cross Stage Partial Network (Wang et al., 2020),
        https://arxiv.org/abs/2011.08036, which uses the same; first in YOLOv5

    Args:
        largest_ratio: Upper limit of the ratio of sides, object to anchor or anchor to object.
        reach: How far the object's centre may be from the centre of a cell along one axis, in
            cells; 0.5 takes only the cell with the object's centre.
    """

    uses_predictions = False

    def __init__(
        self,
        *,
        largest_ratio: Annotated[float, Gt(1)] = 4.0,
        reach: Annotated[float, Interval(ge=0.5, le=1.5)] = 1.0,
    ) -> None:
        self.largest_ratio = largest_ratio
        self.reach = reach

    def __call__(
        self, priors: Priors, scores: Tensor | None, boxes: Tensor | None, targets: PaddedTargets
    ) -> Assignment:
        """Match priors and objects by position and by the ratio of their sides."""
        objects = targets.distant_padding()  # (B, N, 4)
        smallest = unmatched(priors.boxes, targets, math.inf)
        matched = torch.full_like(smallest, BACKGROUND, dtype=torch.int64)
        for chunk in row_chunks(objects.shape[1], matched.numel()):
            values, index = self._ratios(priors, objects[:, chunk]).min(dim=1)
            matched = torch.where(values < smallest, index + chunk.start, matched)
            smallest = smallest.minimum(values)
        return Assignment(matched)

    def _ratios(self, priors: Priors, objects: Tensor) -> Tensor:
        """(B, n, P) the larger ratio of sides where a prior may take an object, else infinity."""
        factors = box_sides(objects)[:, :, None] / box_sides(priors.boxes).unsqueeze(-3)
        ratios = factors.maximum(1 / factors).amax(dim=-1)
        away = cells_away(priors, objects)  # (B, n, P, 2)
        inside, near = in_cell(away), away.abs() < self.reach
        in_reach = inside.all(dim=-1) | (inside & near.flip(-1)).any(dim=-1)
        return ratios.where(in_reach & (ratios < self.largest_ratio), math.inf)
