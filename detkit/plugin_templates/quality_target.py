"""A quality target: what the quality branch of a dense head learns."""

from __future__ import annotations

from torch import Tensor

from detkit import register
from detkit.ops import iou
from detkit.registry import PositiveFloat
from detkit.structures import Priors


@register("quality_target", "my_quality_target")
class MyQualityTarget:
    """How well the box that is predicted now overlaps its object.

    Args:
        power: Exponent of the IoU; above 1 only the best boxes count as good.
    """

    learns_background = False  # it learns at the positives only

    def __init__(self, *, power: PositiveFloat = 1.0) -> None:
        self.power = power

    def __call__(self, priors: Priors, boxes: Tensor, predicted: Tensor) -> Tensor:
        """Objects (M, 4) and predicted boxes (M, 4) of the M positives to (M,) in 0..1."""
        return iou(predicted, boxes).clamp(min=0, max=1) ** self.power
