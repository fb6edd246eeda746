"""Offsets of objects from grid cells, and the IoU of shapes."""

from __future__ import annotations

from torch import Tensor

from detkit.ops.boxes import EPSILON, box_centres, box_sides
from detkit.structures import Priors

# Rounding may put a prior at the corner of its cell just outside it.
_ROUNDING = 1e-3


def cells_away(priors: Priors, objects: Tensor) -> Tensor:
    """(B, N, P, 2) offset from the centre of each prior's cell to objects (B, N, 4), in cells."""
    stride = priors.stride[..., None]
    middles = (box_centres(priors.boxes) / stride + _ROUNDING).floor() + 0.5  # (..., P, 2)
    return box_centres(objects)[:, :, None] / stride.unsqueeze(-3) - middles.unsqueeze(-3)


def in_cell(away: Tensor) -> Tensor:
    """Whether an offset from a cell's centre stays in the cell, left and top border included."""
    return (away >= -0.5) & (away < 0.5)  # noqa: PLR2004  # half a cell


def shape_iou(priors: Tensor, objects: Tensor) -> Tensor:
    """(B, N, P) IoU of priors (..., P, 4) and objects (B, N, 4), top left corners aligned."""
    first, second = box_sides(priors).unsqueeze(-3), box_sides(objects)[:, :, None]
    overlap = first.minimum(second).prod(dim=-1)
    union = first.prod(dim=-1) + second.prod(dim=-1) - overlap
    return overlap / (union + EPSILON)
