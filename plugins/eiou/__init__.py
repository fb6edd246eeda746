"""A box loss with separate terms for the overlap, centre, width and height of a box."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from detkit import register
from detkit.ops import box_centres, box_sides, iou
from detkit.registry import NonNegativeFloat

_TINY = 1e-7  # square pixels; avoids a division by 0 for two empty boxes


@register("loss", "eiou")
class EIoULoss(nn.Module):
    """One minus IoU, plus the squared differences of centres, widths and heights.

    Each difference is relative to the box around both. Unlike in CIoU, where the gradients of width
    and height have opposite signs, the two are independent.

    Paper: Focal and Efficient IOU Loss for Accurate Bounding Box Regression (Zhang et al., 2022),
        equation 9, https://arxiv.org/abs/2101.08158

    With gamma above 0 it is the paper's Focal-EIoU: boxes with a higher IoU have a higher weight.
    The weight has no gradient.

    Args:
        gamma: Exponent of the IoU in the weight of a box; 0 is EIoU, the paper uses 0.5.
        weight: Factor of this loss in the total.
    """

    space: ClassVar = "boxes"

    def __init__(self, *, gamma: NonNegativeFloat = 0.0, weight: NonNegativeFloat = 1.0) -> None:
        super().__init__()
        self.gamma = gamma
        self.weight = weight

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        """The losses (M,) of predicted (M, 4) and target boxes (M, 4)."""
        predicted, target = predicted.float(), target.float()
        overlap = iou(predicted, target)
        low = predicted[:, :2].minimum(target[:, :2])
        high = predicted[:, 2:].maximum(target[:, 2:])
        around = (high - low).square() + _TINY  # (M, 2) of the box around both
        centres = (box_centres(predicted) - box_centres(target)).square().sum(dim=1)
        sides = (box_sides(predicted) - box_sides(target)).square()  # (M, 2)
        losses = 1 - overlap + centres / around.sum(dim=1) + (sides / around).sum(dim=1)
        return losses * overlap.detach() ** self.gamma if self.gamma else losses
