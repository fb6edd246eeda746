"""Distances from a prior's centre to the four sides of a box."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from detkit.ops.boxes import box_centres
from detkit.registry import PositiveFloat, register
from detkit.structures import Priors

SMALLEST = 1e-3  # strides; negligible, and its logarithm is finite
LARGEST_LOG = 10.0  # e^10 = 22,026 strides; keeps exp finite


@register("box_coder", "distance")
class DistanceCoder:
    """Distances to the left, top, right and bottom sides, in strides or a multiple of them.

    A head may predict any number; decoding turns it into a distance, so that every head works with
    every coder. With relu, encoding does not clamp: a prior with its centre outside its object,
    which the FCOS assigner excludes, has a negative code that a loss on codes can still learn.
    With exp, such a side counts as a thousandth of a stride, since the logarithm needs a positive
    distance.

    Paper: FCOS: Fully Convolutional One-Stage Object Detection (Tian et al., 2019),
        https://arxiv.org/abs/1904.01355

    Args:
        activation: How codes become distances: relu as in torchvision, exp as in the paper.
        unit: Distance of a code of 1, in strides; FSAF's is 4.
        in_strides: Whether distances are in strides; else in pixels, as in the first FCOS.
    """

    code_size = 4

    def __init__(
        self,
        *,
        activation: Literal["relu", "exp"] = "relu",
        unit: PositiveFloat = 1.0,
        in_strides: bool = True,
    ) -> None:
        self.activation = activation
        self.unit = unit
        self.in_strides = in_strides

    def encode(self, boxes: Tensor, priors: Priors) -> Tensor:
        """Boxes (..., 4) to codes (..., 4)."""
        centres = box_centres(priors.boxes)
        distances = torch.cat([centres - boxes[..., :2], boxes[..., 2:] - centres], dim=-1)
        scaled = distances / (self.unit * (priors.stride[..., None] if self.in_strides else 1.0))
        return scaled if self.activation == "relu" else scaled.clamp(min=SMALLEST).log()

    def decode(self, codes: Tensor, priors: Priors) -> Tensor:
        """Codes (..., 4) to boxes (..., 4)."""
        sides = codes.relu() if self.activation == "relu" else codes.clamp(max=LARGEST_LOG).exp()
        distances = sides * (self.unit * (priors.stride[..., None] if self.in_strides else 1.0))
        centres = box_centres(priors.boxes)
        return torch.cat([centres - distances[..., :2], centres + distances[..., 2:]], dim=-1)
