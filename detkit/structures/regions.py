"""Tensors inside a roi head. R is the number of regions of an image."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class RegionPredictions(NamedTuple):
    """The predictions of a roi head for each region, before post-processing.

    Attributes:
        boxes: (B, R, D, 4) refined boxes; D is C (one box per class) or 1 (one box for all).
        scores: (B, R, C) in 0..1; 0 in the padding after an image's regions.
    """

    boxes: Tensor
    scores: Tensor
