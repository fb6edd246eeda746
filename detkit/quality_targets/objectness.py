"""YOLO's objectness."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from detkit.ops import complete_iou, iou
from detkit.registry import Fraction, register
from detkit.structures import Priors


@register("quality_target", "objectness")
class Objectness:
    """Presence of any object, learned at every prior; classes are learned at objects only.

    The objectness loss is a mean over all priors, times the image's area. YOLOv5 weights the means
    of the levels by 4, 1 and 0.4, nearly in proportion to the cells of the levels, so that all
    priors have equal weight, except 1.6 on the coarsest level. So there is no setting for either.
    YOLOv3 divides by the number of images instead.

    Paper: You Only Look Once (Redmon et al., 2016), section 2, https://arxiv.org/abs/1506.02640

    Args:
        overlap_share: How far the target of a positive follows the predicted box's overlap: 1 in
            YOLO, YOLOv2 and YOLOv5; 0 in YOLOv3 and YOLOv4, whose target is always 1.
        overlap: The overlap: `ciou`, at least 0, in YOLOv5; `iou` in YOLO and YOLOv2.
    """

    learns_background = True
    score_exponent = 1.0
    weighs_boxes = False

    def __init__(
        self, *, overlap_share: Fraction = 1.0, overlap: Literal["ciou", "iou"] = "ciou"
    ) -> None:
        self.overlap_share = overlap_share
        self.overlap = overlap

    def __call__(self, priors: Priors, boxes: Tensor, predicted: Tensor) -> Tensor:
        """(M,) targets of positives."""
        measure = complete_iou if self.overlap == "ciou" else iou
        overlap = measure(predicted, boxes).clamp(min=0)
        return torch.lerp(torch.ones_like(overlap), overlap, self.overlap_share)
