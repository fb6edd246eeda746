"""A box loss that tells what is wrong with a box: its overlap, its place, its width, its height."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from detkit import register
from detkit.ops import box_centres, box_sides, iou
from detkit.registry import NonNegativeFloat

_TINY = 1e-7  # square pixels; keeps two boxes of no size from dividing by 0


@register("loss", "eiou")
class EIoULoss(nn.Module):
    """One minus IoU, and the squared differences of centres, widths and heights.

    Each difference is a share of the box around both. Unlike CIoU, where width and height can
    only change against each other, both have a gradient of their own.

    Paper: Focal and Efficient IOU Loss for Accurate Bounding Box Regression (Zhang et al., 2022),
        equation 9, https://arxiv.org/abs/2101.08158

    With gamma above 0 it is the paper's Focal-EIoU: the better a box fits already, the more it
    counts. The factor has no gradient.

    Args:
        gamma: Exponent of the IoU by which a box counts; 0 counts all alike, the paper takes 0.5.
        weight: Factor of this loss in the sum.
    """

    space: ClassVar = "boxes"

    def __init__(self, *, gamma: NonNegativeFloat = 0.0, weight: NonNegativeFloat = 1.0) -> None:
        super().__init__()
        self.gamma = gamma
        self.weight = weight

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        """(M, 4) and (M, 4) to (M,)."""
        predicted, target = predicted.float(), target.float()
        overlap = iou(predicted, target)
        low = predicted[:, :2].minimum(target[:, :2])
        high = predicted[:, 2:].maximum(target[:, 2:])
        around = (high - low).square() + _TINY  # (M, 2) of the box around both
        centres = (box_centres(predicted) - box_centres(target)).square().sum(dim=1)
        sides = (box_sides(predicted) - box_sides(target)).square()  # (M, 2)
        losses = 1 - overlap + centres / around.sum(dim=1) + (sides / around).sum(dim=1)
        return losses * overlap.detach() ** self.gamma if self.gamma else losses
