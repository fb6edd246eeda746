"""YOLOv3's and YOLOv4's assignment: the cell of the centre and the best anchor shape."""

from __future__ import annotations

import torch
from torch import Tensor

from detkit.assigners.cells import cells_away, in_cell, shape_iou
from detkit.assigners.claims import unmatched
from detkit.ops.boxes import pairwise_iou
from detkit.ops.chunks import row_chunks
from detkit.registry import Fraction, register
from detkit.structures import BACKGROUND, IGNORED, Assignment, PaddedTargets, Priors


@register("assigner", "grid_cell")
class GridCellAssigner:
    """The cell of an object's centre takes the object, with the anchor of the best shape.

    Shapes are compared by IoU after aligning the boxes' corners. An object has one prior, the best
    on any level; with `shape_iou` it also has all priors in its cells with at least that IoU. A
    prior takes the object whose shape fits best, so an object may stay unassigned.

    Paper: YOLOv3: An Incremental Improvement (Redmon and Farhadi, 2018), section 2.1,
        https://arxiv.org/abs/1804.02767; several anchors in YOLOv4, section 3.4,
        https://arxiv.org/abs/2004.10934

    Args:
        shape_iou: Anchors with at least this shape IoU are positive too; null takes only the best
            (YOLOv3). YOLOv4's published configuration uses 0.213.
        ignored_iou: Other priors with at least this IoU with an object are ignored; 1 ignores none.
            As in the paper, this is the IoU of the prior, not of the predicted box.
    """

    uses_predictions = False

    def __init__(self, *, shape_iou: Fraction | None = None, ignored_iou: Fraction = 0.5) -> None:
        self.shape_iou = shape_iou
        self.ignored_iou = ignored_iou

    def __call__(
        self, priors: Priors, scores: Tensor | None, boxes: Tensor | None, targets: PaddedTargets
    ) -> Assignment:
        """Match priors and objects by cell and shape."""
        all_objects = targets.distant_padding()  # (B, N, 4)
        best = unmatched(priors.boxes, targets, 0.0)  # highest shape IoU of each prior
        matched = torch.full_like(best, BACKGROUND, dtype=torch.int64)
        close = torch.zeros_like(best, dtype=torch.bool)
        for chunk in row_chunks(all_objects.shape[1], matched.numel()):
            objects = all_objects[:, chunk]
            values, index = self._claims(priors, objects).max(dim=1)
            matched = torch.where(values > best, index + chunk.start, matched)
            best = best.maximum(values)
            close |= (pairwise_iou(objects, priors.boxes) >= self.ignored_iou).any(dim=1)
        if self.ignored_iou < 1:
            close &= targets.mask.any(dim=1, keepdim=True)
            matched = matched.masked_fill(close & (matched < 0), IGNORED)
        return Assignment(matched)

    def _claims(self, priors: Priors, objects: Tensor) -> Tensor:
        """(B, n, P) shape IoU where an object may take a prior, else 0."""
        is_in_cell = in_cell(cells_away(priors, objects)).all(dim=-1)  # (B, n, P)
        fits = shape_iou(priors.boxes, objects) * is_in_cell
        least = 2.0 if self.shape_iou is None else self.shape_iou
        best = fits.argmax(dim=2, keepdim=True)
        highest = torch.zeros_like(is_in_cell).scatter_(2, best, True)
        return fits * (highest | (fits >= least))
