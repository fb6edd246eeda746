"""Priors: the reference boxes of a dense head."""

from __future__ import annotations

import torch

from detkit import Wired, register
from detkit.priors import PriorGrid
from detkit.registry import PositiveFloat
from detkit.structures import FeatureSpec


@register("priors", "my_priors")
class MyPriors(PriorGrid):
    """Three boxes at the centre of each cell: a square and two upright ones.

    PriorGrid repeats the boxes of a cell for all cells of a level, and caches the result.

    Args:
        scale: Side of the square, in strides of the level.
    """

    def __init__(
        self, *, feature_specs: Wired[list[FeatureSpec]], scale: PositiveFloat = 4.0
    ) -> None:
        # Boxes around (0, 0) as x1 y1 x2 y2, in strides, from half their widths and heights.
        halves = torch.tensor([[0.5, 0.5], [0.35, 0.7], [0.7, 1.4]]) * scale  # (A, 2)
        around = torch.cat([-halves, halves], dim=1)  # (A, 4)
        super().__init__(
            cells=[around * spec.stride for spec in feature_specs],
            specs=feature_specs,
            offset=0.5,
        )
