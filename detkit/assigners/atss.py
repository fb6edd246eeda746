"""ATSS: an adaptive IoU threshold for each object."""

from __future__ import annotations

import torch
from torch import Tensor

from detkit.assigners.claims import unmatched
from detkit.assigners.offsets import offsets
from detkit.ops.boxes import box_centres, iou
from detkit.ops.chunks import row_chunks
from detkit.registry import PositiveInt, register
from detkit.structures import BACKGROUND, Assignment, PaddedTargets, Priors

LEAST_DISTANCE = (
    0.01  # pixels from a positive prior's centre to its object's border, as in the paper's code
)


@register("assigner", "atss")
class ATSSAssigner:
    """An adaptive IoU threshold for each object, from the priors nearest to its centre.

    An object's candidates are the `topk` nearest priors of each level. A candidate is positive if
    its centre is inside the object and its IoU reaches the mean plus the standard deviation of the
    candidates' IoUs. A prior claimed by several objects goes to the one with the highest IoU.

    Paper: Bridging the Gap Between Anchor-based and Anchor-free Detection via Adaptive Training
        Sample Selection (Zhang et al., 2020), algorithm 1, https://arxiv.org/abs/1912.02424

    Args:
        topk: Candidates per object and level. Scale with the number of priors per cell.
    """

    uses_predictions = False

    def __init__(self, *, topk: PositiveInt = 9) -> None:
        self.topk = topk

    def __call__(
        self, priors: Priors, scores: Tensor | None, boxes: Tensor | None, targets: PaddedTargets
    ) -> Assignment:
        """Match priors and objects by centre distance, then by IoU."""
        objects = targets.distant_padding()  # (B, N, 4)
        # -1 is below every IoU and marks unclaimed priors; the highest IoU wins a contested prior.
        best = unmatched(priors.boxes, targets, -1.0)
        matched = torch.full_like(best, BACKGROUND, dtype=torch.int64)
        for chunk in row_chunks(objects.shape[1], matched.numel()):
            values, index = self._claims(priors, objects[:, chunk]).max(dim=1)
            matched = torch.where(values > best, index + chunk.start, matched)
            best = best.maximum(values)
        return Assignment(matched)

    def _claims(self, priors: Priors, objects: Tensor) -> Tensor:
        """(B, n, P) IoU where an object (B, n, 4) claims a prior, else -1."""
        candidates = self._candidates(priors, box_centres(objects))  # (K, B, n)
        boxes = _boxes_at(priors.boxes, candidates)  # (K, B, n, 4)
        overlaps = iou(boxes, objects)  # (K, B, n)
        spread = overlaps.std(dim=0) if len(overlaps) > 1 else torch.zeros_like(overlaps[0])
        threshold = overlaps.mean(dim=0) + spread
        points = box_centres(boxes)
        inside = (points - objects[..., :2]).minimum(objects[..., 2:] - points).amin(dim=-1)
        positive = (overlaps >= threshold) & (inside > LEAST_DISTANCE)
        claims = overlaps.new_full((*objects.shape[:2], priors.boxes.shape[-2]), -1.0)
        values = torch.where(positive, overlaps, -1.0)
        return claims.scatter_(2, candidates.movedim(0, -1), values.movedim(0, -1))

    def _candidates(self, priors: Priors, objects: Tensor) -> Tensor:
        """Indices of the nearest priors of each level, for objects with centres (B, n, 2)."""
        x, y = offsets(box_centres(priors.boxes), objects)
        # Not `cdist`, whose matrix product is off by 0.01 pixels and reorders near ties.
        distances = x.square_().add_(y.square_())  # (B, n, P)
        nearest, start = [], 0
        sizes = list(priors.level_sizes) or [distances.shape[-1]]
        for block in torch.split(distances, sizes, dim=-1):
            count = min(self.topk, block.shape[-1])
            nearest.append(block.topk(count, largest=False).indices + start)
            start += block.shape[-1]
        return torch.cat(nearest, dim=-1).movedim(-1, 0).contiguous()  # (K, B, n)


def _boxes_at(boxes: Tensor, index: Tensor) -> Tensor:
    """(K, B, n, 4) the boxes (P, 4), or (B, P, 4) of each image, at an index (K, B, n)."""
    if boxes.dim() == 2:  # noqa: PLR2004  # (P, 4)
        return boxes[index]
    return boxes[torch.arange(len(boxes), device=boxes.device)[:, None], index]
