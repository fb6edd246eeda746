"""A quality target: the training target for the quality branch of a dense head."""

from __future__ import annotations

from torch import Tensor

from detkit import register
from detkit.ops import iou
from detkit.registry import PositiveFloat
from detkit.structures import Priors


@register("quality_target", "my_quality_target")
class MyQualityTarget:
    """The IoU between the currently predicted box and its object.

    Args:
        power: Exponent of the IoU; above 1, only the best boxes have a high target.
    """

    score_exponent = 1.0  # of the product of class score and quality
    weighs_boxes = False  # all positives count the same in the box loss
    learns_background = False  # only positives are trained

    def __init__(self, *, power: PositiveFloat = 1.0) -> None:
        self.power = power

    def __call__(self, priors: Priors, boxes: Tensor, predicted: Tensor) -> Tensor:
        """Targets (M,) in 0..1 from the objects (M, 4) and predicted boxes (M, 4) of positives."""
        return iou(predicted, boxes).clamp(min=0, max=1) ** self.power
