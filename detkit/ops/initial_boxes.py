"""Boxes that a detector predicts before it has learned anything."""

from __future__ import annotations

import torch
from torch import Tensor

from detkit.ops.boxes import box_centres, box_sides
from detkit.structures import Priors

# A point is a box as large as its stride; the objects assigned to it are larger. YOLO's anchors
# span 1 to 4 strides on the finest level and up to 12 on the coarsest; ATSS uses 8 on every level.
_STRIDES = 4


def initial_boxes(priors: Priors) -> Tensor:
    """(..., P, 4) the boxes of the priors, with points enlarged to four strides."""
    sides = box_sides(priors.boxes)
    strides = priors.stride[..., None]
    reach = torch.where(sides <= strides, _STRIDES * strides, sides) / 2
    centres = box_centres(priors.boxes)
    return torch.cat([centres - reach, centres + reach], dim=-1)
