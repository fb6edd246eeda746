"""What a corner head learns: heat maps, cells and offsets. B images, N objects in each."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from detkit.ops import box_sides, row_chunks
from detkit.structures import PaddedTargets

_ROUNDING = 1e-6  # cells


class CornerTargets(NamedTuple):
    """Top left (0) and bottom right (1) corners of all objects.

    Attributes:
        heat: (B, 2, C, H, W) 1 at the corners of a class, lower around them, 0 elsewhere.
        cells: (B, 2, N) cell of each object's corner, counted row by row.
        offsets: (B, 2, N, 2) position of the corner in its cell: x and y in cells.
    """

    heat: Tensor
    cells: Tensor
    offsets: Tensor


@torch.no_grad()
def corner_targets(
    targets: PaddedTargets,
    size: tuple[int, int],
    *,
    stride: int,
    num_classes: int,
    min_overlap: float,
) -> CornerTargets:
    """Build the targets of a batch, without waiting for the device.

    Args:
        targets: The objects.
        size: H and W of the maps.
        stride: Their stride.
        num_classes: C.
        min_overlap: IoU that a box keeps if both of its corners move by the radius of the heat.
    """
    height, width = size
    boxes = targets.boxes / stride  # in cells
    corners = torch.stack([boxes[..., :2], boxes[..., 2:]], dim=1)  # (B, 2, N, 2)
    x, y = corners.floor().unbind(dim=-1)
    cells = torch.stack([x.clamp(0, width - 1), y.clamp(0, height - 1)], dim=-1)
    heat = corners.new_zeros(len(boxes), 2, num_classes, height, width)
    # A radius that is a whole number must not be rounded down for an error of arithmetic.
    radius = (gaussian_radius(box_sides(boxes).ceil(), min_overlap) + _ROUNDING).floor()  # (B, N)
    radius = torch.where(targets.mask, radius.to(boxes), -1)  # the padding has no heat
    for chunk in row_chunks(cells.shape[2], 2 * len(boxes) * height * width):
        near_x, near_y = (
            _bells(cells[:, :, chunk, axis], radius[:, None, chunk], length)
            for axis, length in enumerate((width, height))
        )
        bells = near_y[..., :, None] * near_x[..., None, :]  # (B, 2, n, H, W)
        labels = targets.labels[:, None, chunk, None, None].expand_as(bells)
        heat.scatter_reduce_(2, labels, bells, "amax")
    index = cells[..., 1] * width + cells[..., 0]
    return CornerTargets(heat, index.long(), corners - cells)


def gaussian_radius(sides: Tensor, min_overlap: float) -> Tensor:
    """How far corners may move so that a box keeps an IoU with the object.

    The smallest of three distances r: one corner moves inwards and one outwards, both inwards, or
    both outwards. Each solves a quadratic equation, such as (w - 2r)(h - 2r) = min_overlap * wh.

    Args:
        sides: (..., 2) of the objects, in cells.
        min_overlap: Above 0.

    Returns:
        (...) float64.
    """
    width, height = sides.double().unbind(dim=-1)
    total, area, free = width + height, width * height, 1 - min_overlap
    shifted = _smaller_root(total, area * free / (1 + min_overlap))
    smaller = _smaller_root(total / 2, area * free / 4)
    # (w + 2r)(h + 2r) = wh / min_overlap has a negative root, too, so this is the larger one.
    larger = ((total / 2).square() + area * free / min_overlap).sqrt() / 2 - total / 4
    return shifted.minimum(smaller).minimum(larger)


def _smaller_root(total: Tensor, product: Tensor) -> Tensor:
    """The smaller of two numbers with this sum and product."""
    return (total - (total.square() - 4 * product).clamp(min=0).sqrt()) / 2


def _bells(centres: Tensor, radius: Tensor, length: int) -> Tensor:
    """(B, 2, n, length) bell curves, 1 at centres (B, 2, n) and 0 beyond a radius (B, 1, n)."""
    distance = torch.arange(length, device=centres.device) - centres[..., None]
    sigma = (2 * radius[..., None] + 1) / 6
    bells = (distance.square() / (-2 * sigma.square())).exp()
    return torch.where(distance.abs() <= radius[..., None], bells, 0)
