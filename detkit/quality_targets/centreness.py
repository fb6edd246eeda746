"""FCOS's centreness."""

from __future__ import annotations

from torch import Tensor

from detkit.ops import box_centres
from detkit.registry import PositiveFloat, register
from detkit.structures import Priors


@register("quality_target", "centreness")
class Centreness:
    """Centreness: how close a prior is to the middle of its object.

    Paper: FCOS: Fully Convolutional One-Stage Object Detection (Tian et al., 2019), equation 3,
        https://arxiv.org/abs/1904.01355

    Args:
        score_exponent: The final score is (class score * centreness) to this power.
        weighs_boxes: Whether central priors count more in the box loss.
    """

    learns_background = False

    def __init__(self, *, score_exponent: PositiveFloat = 1.0, weighs_boxes: bool = False) -> None:
        self.score_exponent = score_exponent
        self.weighs_boxes = weighs_boxes

    def __call__(self, priors: Priors, boxes: Tensor, predicted: Tensor) -> Tensor:
        """(M,) targets of positives: 1 at the object's centre, 0 on its border.

        The root of min(l, r) / max(l, r) * min(t, b) / max(t, b); 0 if the prior's centre is
        outside the object, which the paper's assigner excludes and others do not.
        """
        centres = box_centres(priors.boxes)  # (M, 2)
        before, after = centres - boxes[:, :2], boxes[:, 2:] - centres
        nearer, farther = before.minimum(after), before.maximum(after)
        ratios = nearer.clamp(min=0) / farther.clamp(min=1e-6)  # (M, 2); a box may have no area
        return ratios.prod(dim=1).sqrt()
