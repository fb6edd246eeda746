"""DenseBox's assignment by circles around the centres of objects."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from detkit.assigners.claims import unmatched
from detkit.assigners.offsets import offsets
from detkit.ops.boxes import box_areas, box_centres, box_sides
from detkit.ops.chunks import row_chunks
from detkit.registry import NonNegativeFloat, PositiveFloat, register
from detkit.structures import BACKGROUND, IGNORED, Assignment, PaddedTargets, Priors


@register("assigner", "circle")
class CircleAssigner:
    """A prior in a circle around an object's centre takes the object; a ring around it is ignored.

    The paper detects faces, which are square and, in each image of a pyramid, of about one size.
    Here objects have any class, size and shape. So positives are also inside their object, the
    prior whose cell holds the centre is always positive, and of several objects a prior takes the
    smallest.

    Paper: DenseBox: Unifying Landmark Localization with End to End Object Detection (Huang et al.,
        2015), section 3.2, https://arxiv.org/abs/1509.04874

    Args:
        radius: Radius of the circle as a share of the object's height.
        margin: Width of the ignored ring around the circle, in strides: the paper's pixels of the
            output.
    """

    uses_predictions = False

    def __init__(self, *, radius: PositiveFloat = 0.3, margin: NonNegativeFloat = 2.0) -> None:
        self.radius = radius
        self.margin = margin

    def __call__(
        self, priors: Priors, scores: Tensor | None, boxes: Tensor | None, targets: PaddedTargets
    ) -> Assignment:
        """Match priors and objects by the distance of their centres."""
        all_objects = targets.distant_padding()  # (B, N, 4)
        smallest = unmatched(priors.boxes, targets, math.inf)
        matched = torch.full_like(smallest, BACKGROUND, dtype=torch.int64)
        near = torch.zeros_like(matched, dtype=torch.bool)
        for chunk in row_chunks(all_objects.shape[1], matched.numel()):
            objects = all_objects[:, chunk]
            positive, in_ring = self._regions(priors, objects)  # (B, n, P) each
            values, index = box_areas(objects)[..., None].where(positive, math.inf).min(dim=1)
            matched = torch.where(values < smallest, index + chunk.start, matched)
            smallest = smallest.minimum(values)
            near |= in_ring.any(dim=1)
        return Assignment(torch.where(near & (matched < 0), IGNORED, matched))

    def _regions(self, priors: Priors, objects: Tensor) -> tuple[Tensor, Tensor]:
        """Whether a prior is positive for an object, and whether it is in its circle or ring."""
        x, y = offsets(box_centres(priors.boxes), box_centres(objects))  # (B, n, P)
        distance = torch.hypot(x, y)
        width, height = (side[..., None] for side in box_sides(objects).unbind(dim=-1))
        stride = priors.stride.unsqueeze(-2)
        x, y = x.abs_(), y.abs_()
        inside = (x <= width / 2) & (y <= height / 2)
        in_cell = x.maximum(y) <= stride / 2
        radius = self.radius * height
        positive = (inside & (distance <= radius)) | in_cell
        return positive, distance <= radius + self.margin * stride
