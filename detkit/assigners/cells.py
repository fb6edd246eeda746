"""Where objects lie on the grid of cells, and which shapes agree."""

from __future__ import annotations

from torch import Tensor

from detkit.ops.boxes import EPSILON, box_centres, box_sides
from detkit.structures import Priors

# A prior in the corner of its cell may lie a rounding error before it.
_ROUNDING = 1e-3


def cells_away(priors: Priors, objects: Tensor) -> Tensor:
    """(P, N, 2) from the middle of a prior's cell to the centre of an object (N, 4), in cells."""
    stride = priors.stride[:, None]
    middles = (box_centres(priors.boxes) / stride + _ROUNDING).floor() + 0.5  # (P, 2)
    return box_centres(objects) / stride[:, None] - middles[:, None]


def in_cell(away: Tensor) -> Tensor:
    """Whether so many cells from a middle end in its cell; the left and the upper border do."""
    return (away >= -0.5) & (away < 0.5)  # noqa: PLR2004  # half a cell


def shape_iou(priors: Tensor, objects: Tensor) -> Tensor:
    """(P, N) IoU of boxes (P, 4) and (N, 4) that are moved to one corner."""
    first, second = box_sides(priors)[:, None], box_sides(objects)
    overlap = first.minimum(second).prod(dim=-1)
    union = first.prod(dim=-1) + second.prod(dim=-1) - overlap
    return overlap / (union + EPSILON)
