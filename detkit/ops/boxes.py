"""Boxes as pure functions: absolute xyxy in continuous coordinates.

Functions on pairs take any leading axes and broadcast them: `generalized_iou(first[:, None],
second)` compares all N with all M. For other formats there is `torchvision.ops.box_convert`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

EPSILON = 1e-7  # keeps ratios of empty boxes finite, as torchvision's losses do


def box_sides(boxes: Tensor) -> Tensor:
    """(..., 4) to (..., 2) as width, height."""
    return boxes[..., 2:] - boxes[..., :2]


def sides_at_least(boxes: Tensor, least: float) -> Tensor:
    """(..., 4) to (...): whether both sides reach a length."""
    return (box_sides(boxes) >= least).all(dim=-1)


def box_areas(boxes: Tensor) -> Tensor:
    """(..., 4) to (...)."""
    return _product(box_sides(boxes))


def box_centres(boxes: Tensor) -> Tensor:
    """(..., 4) to (..., 2) as x, y."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def clip_boxes(boxes: Tensor, sizes: Tensor) -> Tensor:
    """Boxes (..., 4) cut to images of the sizes (..., 2) as height, width, which broadcast."""
    corner = sizes.flip(-1).to(boxes.dtype)
    return boxes.clamp(min=0).minimum(torch.cat([corner, corner], dim=-1))


def pairwise_iou(first: Tensor, second: Tensor) -> Tensor:
    """(..., N, 4) and (..., M, 4) to (..., N, M); NaN where both boxes are empty.

    Bit-equal to torchvision's `box_iou`. Comparing coordinate by coordinate avoids its (N, M, 2)
    tensors of corners and takes a third of the time on a CPU.
    """
    first_x1, first_y1, first_x2, first_y2 = first.unsqueeze(-2).unbind(dim=-1)  # (..., N, 1)
    x1, y1, x2, y2 = _coordinates(second.unsqueeze(-3))  # (..., 1, M)
    width = first_x2.minimum(x2).sub_(first_x1.maximum(x1)).clamp_(min=0)  # (..., N, M)
    height = first_y2.minimum(y2).sub_(first_y1.maximum(y1)).clamp_(min=0)
    intersection = width.mul_(height)
    areas = box_areas(first)[..., None] + (x2 - x1) * (y2 - y1)
    return intersection / areas.sub_(intersection)


def share_inside(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over the area of the first: (..., N, 4) and (..., M, 4) to (..., N, M)."""
    first, second = first.unsqueeze(-2), second.unsqueeze(-3)
    return _intersection(first, second) / box_areas(first).clamp(min=EPSILON)


def iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of pairs: (..., 4) and (..., 4) to (...)."""
    intersection, union = _overlap(first, second)
    return intersection / (union + EPSILON)


def generalized_iou(first: Tensor, second: Tensor) -> Tensor:
    """IoU minus the empty share of the enclosing box (Rezatofighi et al., 2019, equation 1)."""
    intersection, union = _overlap(first, second)
    enclosing = _product(_enclosing(first, second))
    return intersection / (union + EPSILON) - (enclosing - union) / (enclosing + EPSILON)


def distance_iou(first: Tensor, second: Tensor) -> Tensor:
    """IoU minus the squared centre distance over the enclosing diagonal (Zheng et al., 2020)."""
    return iou(first, second) - distance_penalty(first, second)


def complete_iou(first: Tensor, second: Tensor) -> Tensor:
    """Distance IoU minus a penalty for differing aspect ratios (Zheng et al., 2020).

    No gradient flows through the weight of the penalty, as in the paper's code.
    """
    overlap = iou(first, second)
    penalty = (4 / math.pi**2) * (_angle(second) - _angle(first)).square()
    with torch.no_grad():
        weight = penalty / (1 - overlap + penalty + EPSILON)
    return overlap - distance_penalty(first, second) - weight * penalty


def _angle(boxes: Tensor) -> Tensor:
    """Arctangent of width over height; 0, without a gradient, for an empty box."""
    sides = box_sides(boxes)
    return torch.atan2(sides[..., 0], sides[..., 1])


def distance_penalty(first: Tensor, second: Tensor) -> Tensor:
    """Squared centre distance over the squared diagonal of the enclosing box."""
    diagonal = _enclosing(first, second).square().sum(dim=-1)
    distance = (box_centres(first) - box_centres(second)).square().sum(dim=-1)
    return distance / (diagonal + EPSILON)


def _overlap(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Intersection and union.

    A box turned inside out counts as empty; its negative area could bring the union close to 0.
    """
    intersection = _intersection(first, second)
    areas = [_product(box_sides(boxes).clamp(min=0)) for boxes in (first, second)]
    return intersection, areas[0] + areas[1] - intersection


def _intersection(first: Tensor, second: Tensor) -> Tensor:
    first_x1, first_y1, first_x2, first_y2 = _coordinates(first)
    x1, y1, x2, y2 = _coordinates(second)
    width = first_x2.minimum(x2) - first_x1.maximum(x1)
    height = first_y2.minimum(y2) - first_y1.maximum(y1)
    return width.clamp(min=0) * height.clamp(min=0)


def _coordinates(boxes: Tensor) -> Tensor:
    """(..., 4) to (4, ...); comparing coordinate by coordinate takes a third of the time."""
    return boxes.movedim(-1, 0).contiguous()


def _enclosing(first: Tensor, second: Tensor) -> Tensor:
    """Width and height of the smallest box around each pair, (..., 2)."""
    low = first[..., :2].minimum(second[..., :2])
    return first[..., 2:].maximum(second[..., 2:]) - low


def _product(sides: Tensor) -> Tensor:
    """(..., 2) to (...); unlike `prod`, its gradient does not synchronise with the GPU."""
    return sides[..., 0] * sides[..., 1]
