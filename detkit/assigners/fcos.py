"""FCOS's assignment by position and size."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from detkit.assigners.claims import unmatched
from detkit.assigners.offsets import offsets
from detkit.ops.boxes import box_areas, box_centres
from detkit.ops.chunks import row_chunks
from detkit.registry import PositiveFloat, register
from detkit.structures import BACKGROUND, Assignment, PaddedTargets, Priors


@register("assigner", "fcos")
class FCOSAssigner:
    """A prior near an object's centre takes the smallest object whose size fits its level.

    The first of several objects of equal area wins. torchvision rounds areas to 8 square pixels, so
    there the first object may also win over a slightly smaller one.

    Paper: FCOS: Fully Convolutional One-Stage Object Detection (Tian et al., 2019),
        https://arxiv.org/abs/1904.01355; centre sampling as in its journal version,
        https://arxiv.org/abs/2006.09214

    Args:
        centre_radius: Half the side, in strides, of the square around an object's centre that must
            contain the prior's centre; null accepts any prior inside the object.
        smallest: Lower limit, in strides, of the largest distance from the prior's centre to a side
            of the object. The finest level has no lower limit.
        largest: Upper limit of the same distance; the coarsest level has no upper limit.
    """

    uses_predictions = False

    def __init__(
        self,
        *,
        centre_radius: PositiveFloat | None = 1.5,
        smallest: PositiveFloat = 4.0,
        largest: PositiveFloat = 8.0,
    ) -> None:
        self.centre_radius = centre_radius
        self.smallest = smallest
        self.largest = largest

    def __call__(
        self, priors: Priors, scores: Tensor | None, boxes: Tensor | None, targets: PaddedTargets
    ) -> Assignment:
        """Match priors and objects by the position of the prior's centre."""
        boxes_of_objects = targets.distant_padding()  # (B, N, 4)
        smallest = unmatched(priors.boxes, targets, math.inf)
        matched = torch.full_like(smallest, BACKGROUND, dtype=torch.int64)
        for chunk in row_chunks(boxes_of_objects.shape[1], matched.numel()):
            objects = boxes_of_objects[:, chunk]  # (B, n, 4)
            areas = box_areas(objects)[..., None].where(self._fits(priors, objects), math.inf)
            values, index = areas.min(dim=1)
            matched = torch.where(values < smallest, index + chunk.start, matched)
            smallest = smallest.minimum(values)
        return Assignment(matched)

    def _fits(self, priors: Priors, objects: Tensor) -> Tensor:
        """(B, n, P) whether a prior may take an object (B, n, 4)."""
        centres = box_centres(priors.boxes)
        left, top = offsets(centres, objects[..., :2])  # (B, n, P) distances to the sides
        right, bottom = (offset.neg_() for offset in offsets(centres, objects[..., 2:]))
        reach = left.maximum(right).maximum(top.maximum(bottom))
        low, high = self._reach_limits(priors)
        fits = (left.minimum(right).minimum(top.minimum(bottom)) > 0) & (reach > low)
        fits &= reach < high
        if self.centre_radius is not None:
            x, y = offsets(centres, box_centres(objects))
            fits &= x.abs_().maximum(y.abs_()) < self.centre_radius * priors.stride.unsqueeze(-2)
        return fits

    def _reach_limits(self, priors: Priors) -> tuple[Tensor, Tensor]:
        stride, level = priors.stride.unsqueeze(-2), priors.level.unsqueeze(-2)  # (..., 1, P)
        low = (stride * self.smallest).masked_fill(level == 0, 0.0)
        coarsest = level == level[..., -1:]
        return low, (stride * self.largest).masked_fill(coarsest, math.inf)
