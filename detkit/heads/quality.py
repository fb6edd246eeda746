"""What the quality branch of a dense head learns."""

from __future__ import annotations

import torch
from torch import Tensor

from detkit.ops import box_centres, complete_iou
from detkit.registry import Fraction, register
from detkit.structures import Priors


@register("quality_target", "centreness")
class Centreness:
    """How central a prior lies in its object, so that boxes seen from the edge score less.

    Paper: FCOS: Fully Convolutional One-Stage Object Detection (Tian et al., 2019), equation 3,
        https://arxiv.org/abs/1904.01355
    """

    learns_background = False

    def __call__(self, priors: Priors, boxes: Tensor, predicted: Tensor) -> Tensor:
        """(M,) of the positives: 1 in the middle of the object, 0 on its border.

        The root of min(l, r) / max(l, r) * min(t, b) / max(t, b); 0 where the prior's centre lies
        outside, which the paper's assigner excludes and others do not.
        """
        centres = box_centres(priors.boxes)  # (M, 2)
        before, after = centres - boxes[:, :2], boxes[:, 2:] - centres
        nearer, farther = before.minimum(after), before.maximum(after)
        ratios = nearer.clamp(min=0) / farther.clamp(min=1e-6)  # (M, 2), a box may have no area
        return ratios.prod(dim=1).sqrt()


@register("quality_target", "objectness")
class Objectness:
    """Whether there is an object at all, learned at every prior; classes learn at objects only.

    The objectness loss is a mean over all priors, times the image's area. YOLOv5 weights the means
    of the levels by 4, 1 and 0.4, nearly in proportion to the cells of the levels, so that all
    priors have equal weight, except 1.6 on the coarsest level. So there is no setting for either.
    YOLOv3 divides by the number of images instead.

    Paper: You Only Look Once (Redmon et al., 2016), section 2, https://arxiv.org/abs/1506.02640

    Args:
        overlap_share: How far the target at an object follows the overlap (CIoU, at least 0) of the
            predicted box: 1 in YOLO and YOLOv5; 0 in YOLOv3 and YOLOv4, whose target is always 1.
    """

    learns_background = True

    def __init__(self, *, overlap_share: Fraction = 1.0) -> None:
        self.overlap_share = overlap_share

    def __call__(self, priors: Priors, boxes: Tensor, predicted: Tensor) -> Tensor:
        """(M,) of the positives."""
        overlap = complete_iou(predicted, boxes).clamp(min=0)
        return torch.lerp(torch.ones_like(overlap), overlap, self.overlap_share)
