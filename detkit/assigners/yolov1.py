"""YOLO's first assignment: one box of the cell with an object's centre is responsible for it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from detkit.assigners.cells import cells_away, in_cell
from detkit.ops.boxes import box_centres, box_sides, iou
from detkit.ops.chunks import row_chunks
from detkit.registry import register
from detkit.structures import BACKGROUND, Assignment, PaddedTargets, Priors


@register("assigner", "yolov1")
class YOLOv1Assigner:
    """The cell of an object's centre takes the object, with the box that predicts it best.

    The best box has the highest IoU with the object. If no box of the cell overlaps the object, the
    best one has the lowest root mean square difference of centre and sides.
    A cell takes one object: the first of the image's; Darknet takes any of them.

    Paper: You Only Look Once (Redmon et al., 2016), section 2.2, https://arxiv.org/abs/1506.02640;
        boxes without overlap as in Darknet's detection layer
    """

    uses_predictions = True

    def __call__(
        self, priors: Priors, scores: Tensor | None, boxes: Tensor | None, targets: PaddedTargets
    ) -> Assignment:
        """Match priors and objects by cell, then by predicted boxes."""
        predicted = priors.boxes if boxes is None else boxes
        objects = targets.distant_padding()  # (B, N, 4), whose padding is in no cell
        claims = _first_in_cell(priors, objects)  # (B, P), N without an object
        count = objects.shape[1]
        if count == 0:
            return Assignment(torch.full_like(claims, BACKGROUND))
        index = claims.clamp(max=count - 1)[..., None].expand(-1, -1, 4)
        fits = _fit(predicted, objects.gather(1, index))  # (B, P)
        fits = torch.where(claims < count, fits, -math.inf)
        best = fits.new_full((len(fits), count + 1), -math.inf)
        best = best.scatter_reduce(1, claims, fits, "amax")  # of each object
        # If two boxes are equally good, the first one is responsible.
        positions = torch.arange(claims.shape[1], device=claims.device).expand_as(claims)
        is_best = (fits == best.gather(1, claims)) & (claims < count)
        places = torch.where(is_best, positions, claims.shape[1])
        first = torch.full_like(best, claims.shape[1], dtype=torch.int64)
        first = first.scatter_reduce(1, claims, places, "amin")
        is_responsible = is_best & (first.gather(1, claims) == positions)
        return Assignment(torch.where(is_responsible, claims, BACKGROUND))


def _first_in_cell(priors: Priors, objects: Tensor) -> Tensor:
    """(B, P) the first of the objects (B, N, 4) with its centre in the prior's cell, N if none."""
    images, count = objects.shape[:2]
    first = torch.full((images, priors.level.shape[-1]), count, device=objects.device)
    for chunk in row_chunks(count, first.numel()):
        is_in_cell = in_cell(cells_away(priors, objects[:, chunk])).all(dim=-1)  # (B, n, P)
        numbers = torch.arange(chunk.start, chunk.stop, device=objects.device)
        claims = torch.where(is_in_cell, numbers[:, None], count)
        first = first.minimum(claims.amin(dim=1))
    return first


def _fit(predicted: Tensor, objects: Tensor) -> Tensor:
    """(B, P) IoU of pairs of boxes (B, P, 4); minus the root mean square difference if it is 0."""
    overlap = iou(predicted, objects)
    centres = box_centres(predicted) - box_centres(objects)
    differences = torch.cat([centres, box_sides(predicted) - box_sides(objects)], dim=-1)
    return torch.where(overlap > 0, overlap, -differences.square().mean(dim=-1).sqrt())
