"""Assignment of YOLOv3 and YOLOv4: by the cell of the centre and the shape of the anchor."""

from __future__ import annotations

import torch
from torch import Tensor

from detkit.assigners.cells import cells_away, in_cell, shape_iou
from detkit.ops.boxes import pairwise_iou
from detkit.ops.chunks import row_chunks
from detkit.registry import Fraction, register
from detkit.structures import BACKGROUND, IGNORED, Assignment, Priors, Target


@register("assigner", "grid_cell")
class GridCellAssigner:
    """The cell that an object's centre lies in takes it, with the anchor of the best shape.

    Shapes are compared by the IoU of boxes moved to one corner. An object has one prior, the best
    of all levels; with a `shape_iou` it also has all others in its cells of at least that IoU. Of
    several objects a prior takes the one of the best shape, so that one may be left without.

    Paper: YOLOv3: An Incremental Improvement (Redmon and Farhadi, 2018), section 2.1,
        https://arxiv.org/abs/1804.02767; several anchors in YOLOv4, section 3.4,
        https://arxiv.org/abs/2004.10934

    Args:
        shape_iou: Anchors whose shape has at least this IoU are positive too; null takes the best
            only (YOLOv3). YOLOv4's published configuration has 0.213.
        ignored_iou: Other priors with at least this IoU with an object count as neither; 1 leaves
            none out. As the paper has it, it is measured with priors, not with predicted boxes.
    """

    uses_predictions = False

    def __init__(self, *, shape_iou: Fraction | None = None, ignored_iou: Fraction = 0.5) -> None:
        self.shape_iou = shape_iou
        self.ignored_iou = ignored_iou

    def __call__(
        self, priors: Priors, scores: Tensor | None, boxes: Tensor | None, target: Target
    ) -> Assignment:
        """Match priors and objects by cell and shape."""
        best = torch.zeros_like(priors.stride)  # of each prior
        matched = torch.full_like(priors.level, BACKGROUND)
        close = torch.zeros_like(best, dtype=torch.bool)
        for chunk in row_chunks(len(target), len(matched)):
            objects = target.boxes[chunk]
            values, index = self._claims(priors, objects).max(dim=1)
            matched = torch.where(values > best, index + chunk.start, matched)
            best = best.maximum(values)
            close |= (pairwise_iou(priors.boxes, objects) >= self.ignored_iou).any(dim=1)
        if self.ignored_iou < 1:
            matched = matched.masked_fill(close & (matched < 0), IGNORED)
        return Assignment(matched)

    def _claims(self, priors: Priors, objects: Tensor) -> Tensor:
        """(P, N) shape IoU where a prior is good for an object, else 0."""
        own_cell = in_cell(cells_away(priors, objects)).all(dim=-1)  # (P, N)
        fits = shape_iou(priors.boxes, objects) * own_cell
        least = 2.0 if self.shape_iou is None else self.shape_iou
        highest = torch.zeros_like(own_cell).scatter_(0, fits.argmax(dim=0, keepdim=True), True)
        return fits * (highest | (fits >= least))
