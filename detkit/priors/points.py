"""Points in the cells of a grid."""

from __future__ import annotations

import torch

from detkit.priors.grid import PriorGrid
from detkit.registry import Fraction, PositiveInt, Wired, register
from detkit.structures import FeatureSpec


@register("priors", "points")
class Points(PriorGrid):
    """Points in each cell, as boxes with sides of one stride, for heads without anchors.

    Paper: FCOS: Fully Convolutional One-Stage Object Detection (Tian et al., 2019),
        https://arxiv.org/abs/1904.01355

    Args:
        offset: Position of the point in its cell: 0.5 is the middle, as in the paper; 0 the top
            left corner, as in torchvision.
        count: Equal points of a cell, which differ in their predictions only: 2 in the first YOLO.
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        offset: Fraction = 0.5,
        count: PositiveInt = 1,
    ) -> None:
        square = torch.tensor([[-0.5, -0.5, 0.5, 0.5]]).repeat(count, 1)
        cells = [square * spec.stride for spec in feature_specs]
        super().__init__(cells=cells, specs=feature_specs, offset=offset)
