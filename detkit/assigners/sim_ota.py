"""SimOTA: assignment by the classification and box loss of each prior."""

from __future__ import annotations

import torch
from torch import Tensor

from detkit.assigners.claims import Claims, scores_of_labels, winners
from detkit.assigners.offsets import offsets
from detkit.ops.boxes import box_centres, box_sides, iou
from detkit.ops.chunks import row_chunks
from detkit.ops.ordered_topk import ordered_topk
from detkit.registry import NonNegativeFloat, PositiveFloat, PositiveInt, register
from detkit.structures import Assignment, PaddedTargets, Priors

_LEAST = 1e-8  # lower limit of scores and IoUs in logarithms, as in the paper's code
_FAR = 1e4  # above any cost, and small enough that float32 still resolves costs added to it


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
        self, priors: Priors, scores: Tensor | None, boxes: Tensor | None, targets: PaddedTargets
    ) -> Assignment:
        """Match priors and objects by cost."""
        if scores is None or boxes is None:
            raise ValueError("assigner 'sim_ota' uses predictions, got none: pass scores and boxes")
        objects = targets.distant_padding()  # (B, N, 4)
        count = priors.boxes.shape[-2]
        # The cost of all classes as absent is one number per prior; the labelled class adds its
        # difference. This needs no tensor of pairs times classes.
        as_background = -_log_absent(scores).sum(dim=2)[:, None]  # (B, 1, P)
        chunks = []
        for chunk in row_chunks(objects.shape[1], len(objects) * count):
            score = scores_of_labels(scores, targets.labels[:, chunk])  # (B, n, P)
            class_cost = as_background + _log_absent(score)
            class_cost -= score.clamp(_LEAST, 1 - _LEAST).log()
            chunks.append(self._cheapest(priors, class_cost, boxes, objects[:, chunk]))
        claims = Claims(*(torch.cat(values, dim=1) for values in zip(*chunks, strict=True)))
        return Assignment(winners(claims, count)[0])

    def _cheapest(
        self, priors: Priors, class_cost: Tensor, boxes: Tensor, objects: Tensor
    ) -> Claims:
        """The k cheapest priors of each object (B, n, 4)."""
        inside, near = self._inside_and_near(priors, objects)  # (B, n, P)
        candidates = inside | near
        overlap = iou(boxes[:, None], objects[:, :, None])
        topk = min(self.topk, candidates.shape[2])
        claim_counts = _sum_of_highest(overlap.where(candidates, 0), topk).long().clamp(min=1)
        cost = class_cost - self.overlap_cost * (overlap + _LEAST).log()
        cost = (cost + _FAR * ~(inside & near)).where(candidates, torch.inf)
        negative, prior = ordered_topk(-cost, topk)
        among = torch.arange(topk, device=cost.device) < claim_counts
        return Claims(prior, negative, among & (negative > -torch.inf))

    def _inside_and_near(self, priors: Priors, objects: Tensor) -> tuple[Tensor, Tensor]:
        """(B, n, P) whether a prior's centre is inside an object, and whether near its centre."""
        half_width, half_height = (box_sides(objects) / 2).unsqueeze(-2).unbind(dim=-1)
        x, y = offsets(box_centres(priors.boxes), box_centres(objects))
        x, y = x.abs_(), y.abs_()
        inside = (x < half_width) & (y < half_height)
        return inside, x.maximum(y) < self.centre_radius * priors.stride.unsqueeze(-2)


def _log_absent(scores: Tensor) -> Tensor:
    """ln(1 - score)."""
    return torch.log1p(-scores.clamp(_LEAST, 1 - 1e-7))


def _sum_of_highest(overlaps: Tensor, count: int) -> Tensor:
    """(B, n, 1) the sum of each object's highest IoUs (B, n, P), added in the order of priors.

    A sum just below a whole number gives an object one prior less, so the order is fixed.
    """
    highest, index = overlaps.topk(count, dim=2)
    ordered = highest.gather(2, index.argsort(dim=2))
    zeros = torch.zeros_like(ordered[..., :1])
    return zeros.scatter_add_(2, torch.zeros_like(index), ordered)
