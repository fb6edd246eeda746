"""FSAF's assignment: each object chooses its feature level by the loss."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from detkit.assigners.claims import scores_of_labels, unmatched
from detkit.assigners.offsets import offsets
from detkit.errors import UserError
from detkit.ops.boxes import EPSILON, box_areas, box_centres, box_sides, iou
from detkit.ops.chunks import row_chunks
from detkit.registry import Fraction, NonNegativeFloat, register
from detkit.structures import BACKGROUND, IGNORED, Assignment, PaddedTargets, Priors


class _ClassLosses(NamedTuple):
    """Focal losses of the predicted scores."""

    background: Tensor  # (B, P) with no class present
    change: Tensor  # (B, P, C) added if the class is present


@register("assigner", "feature_selection")
class FeatureSelectionAssigner:
    """Each object takes the cells at its centre on the level with the smallest loss.

    The effective region of an object is its box with sides scaled by `effective`. On each level, it
    consists of the cells with their centre inside, and of the cell that contains the object's
    centre, so that no object is without a cell. The object's level is the one with the least mean
    of focal loss plus IoU loss over these cells. The cells of the effective region on that level
    are positive; where regions overlap, the smaller object wins. Other cells inside the ignored
    region, the box scaled by `ignored`, count for nothing on this level and the two next to it.

    Paper: Feature Selective Anchor-Free Module for Single-Shot Object Detection (Zhu et al., 2019),
        section 3, https://arxiv.org/abs/1903.00621

    Args:
        effective: Sides of the effective region, as a share of the object's sides.
        ignored: The same for the ignored region.
        alpha: Weight of the object's class in the focal loss.
        gamma: Exponent of the focal loss.
    """

    uses_predictions = True

    def __init__(
        self,
        *,
        effective: Fraction = 0.2,
        ignored: Fraction = 0.5,
        alpha: Fraction = 0.25,
        gamma: NonNegativeFloat = 2.0,
    ) -> None:
        if effective > ignored:
            raise UserError(
                f"assigner 'feature_selection': effective {effective} is above ignored {ignored}: "
                "lower effective or raise ignored."
            )
        self.effective = effective
        self.ignored = ignored
        self.alpha = alpha
        self.gamma = gamma

    def __call__(
        self, priors: Priors, scores: Tensor | None, boxes: Tensor | None, targets: PaddedTargets
    ) -> Assignment:
        """Match cells and objects by position, on the level with the smallest loss."""
        if scores is None or boxes is None:
            raise ValueError(
                "assigner 'feature_selection' uses predictions, got none: pass scores and boxes"
            )
        objects = targets.distant_padding()  # (B, N, 4)
        smallest = unmatched(priors.boxes, targets, math.inf)
        matched = torch.full_like(smallest, BACKGROUND, dtype=torch.int64)
        ring = torch.zeros_like(matched, dtype=torch.bool)
        class_losses = self._class_losses(scores)
        for chunk in row_chunks(objects.shape[1], matched.numel()):
            effective, ignored = self._regions(priors, objects[:, chunk])  # (B, n, P) each
            losses = _pair_losses(class_losses, boxes, objects[:, chunk], targets.labels[:, chunk])
            distance = _levels_from_best(losses, effective, priors)
            areas = box_areas(objects[:, chunk])[..., None]
            areas = areas.where(effective & (distance == 0), math.inf)
            values, index = areas.min(dim=1)
            matched = torch.where(values < smallest, index + chunk.start, matched)
            smallest = smallest.minimum(values)
            ring |= (ignored & (distance <= 1)).any(dim=1)
        return Assignment(torch.where(ring & (matched < 0), IGNORED, matched))

    def _regions(self, priors: Priors, objects: Tensor) -> tuple[Tensor, Tensor]:
        """(B, n, P) whether a cell is in the effective and in the ignored region."""
        x, y = offsets(box_centres(priors.boxes), box_centres(objects))
        x, y = x.abs_(), y.abs_()
        width, height = (side[..., None] / 2 for side in box_sides(objects).unbind(dim=-1))
        cell = priors.stride.unsqueeze(-2) / 2
        effective = (x <= (self.effective * width).maximum(cell)) & (
            y <= (self.effective * height).maximum(cell)
        )
        return effective, (x <= self.ignored * width) & (y <= self.ignored * height)

    def _class_losses(self, scores: Tensor) -> _ClassLosses:
        scores = scores.float().clamp(EPSILON, 1 - EPSILON)
        absent = (1 - self.alpha) * scores**self.gamma * -torch.log1p(-scores)
        present = self.alpha * (1 - scores) ** self.gamma * -scores.log()
        return _ClassLosses(absent.sum(dim=-1), present - absent)


def _pair_losses(
    class_losses: _ClassLosses, boxes: Tensor, objects: Tensor, labels: Tensor
) -> Tensor:
    """(B, n, P) focal loss plus IoU loss if a prediction belonged to an object (B, n, 4)."""
    overlap = iou(boxes[:, None], objects[:, :, None]).clamp(min=EPSILON)
    change = scores_of_labels(class_losses.change, labels)
    return change + class_losses.background[:, None] - overlap.log()


def _levels_from_best(losses: Tensor, effective: Tensor, priors: Priors) -> Tensor:
    """(B, n, P) how many levels a prior is away from the level with the least mean loss."""
    levels = max(1, len(priors.level_sizes))
    level = priors.level.unsqueeze(-2).expand_as(losses)
    sums = losses.new_zeros(*losses.shape[:2], levels)
    counts = sums.scatter_add(2, level, effective.to(losses))
    sums = sums.scatter_add(2, level, losses.where(effective, 0))
    means = (sums / counts).where(counts > 0, math.inf)
    least, best = means.min(dim=2, keepdim=True)  # (B, n, 1), the finest of equals
    best = best.masked_fill(least == math.inf, 2 * levels)  # an object outside the image
    return (level - best).abs()
