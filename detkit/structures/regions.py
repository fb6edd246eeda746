"""What flows inside a roi head. R counts the regions of an image."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class RegionPredictions(NamedTuple):
    """What a roi head says of each region, before post-processing.

    Attributes:
        boxes: (B, R, D, 4) refined boxes: D is C, a box for each class, or 1, one for all.
        scores: (B, R, C) in 0..1; 0 in the places after an image's own regions.
    """

    boxes: Tensor
    scores: Tensor
