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
    """(..., 4) to (...): whether both sides are as long."""
    return (box_sides(boxes) >= least).all(dim=-1)


def box_areas(boxes: Tensor) -> Tensor:
    """(..., 4) to (...)."""
    return _product(box_sides(boxes))


def box_centres(boxes: Tensor) -> Tensor:
    """(..., 4) to (..., 2) as x, y."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def clip_boxes(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes (..., 4) cut to an image of size (height, width)."""
    height, width = size
    left, top, right, bottom = boxes.unbind(dim=-1)
    xs, ys = torch.stack([left, right]).clamp(0, width), torch.stack([top, bottom]).clamp(0, height)
    return torch.stack([xs[0], ys[0], xs[1], ys[1]], dim=-1)


def pairwise_iou(first: Tensor, second: Tensor) -> Tensor:
    """(N, 4) and (M, 4) to (N, M); NaN where both boxes are empty.

    Equal to torchvision's `box_iou` bit by bit. With a row for each coordinate no tensor of pairs
    of corners, (N, M, 2), is made, which takes a third of the time on a CPU.
    """
    left, top, right, bottom = first.unsqueeze(1).unbind(dim=-1)  # (N, 1)
    others = second.t().contiguous()  # (4, M)
    width = right.minimum(others[2]).sub_(left.maximum(others[0])).clamp_(min=0)  # (N, M)
    height = bottom.minimum(others[3]).sub_(top.maximum(others[1])).clamp_(min=0)
    intersection = width.mul_(height)
    areas = box_areas(first)[:, None] + (others[2] - others[0]) * (others[3] - others[1])
    return intersection / areas.sub_(intersection)


def share_inside(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over the area of the first: (N, 4) and (M, 4) to (N, M)."""
    first = first[:, None]
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
    """Distance IoU minus a penalty for another ratio of the sides (Zheng et al., 2020).

    The weight of the penalty is a constant for the gradient, as in the paper's code.
    """
    overlap = iou(first, second)
    penalty = (4 / math.pi**2) * (_angle(second) - _angle(first)).square()
    with torch.no_grad():
        weight = penalty / (1 - overlap + penalty + EPSILON)
    return overlap - distance_penalty(first, second) - weight * penalty


def _angle(boxes: Tensor) -> Tensor:
    """Arc tangent of width over height; 0, and without gradient, for an empty box."""
    sides = box_sides(boxes)
    return torch.atan2(sides[..., 0], sides[..., 1])


def distance_penalty(first: Tensor, second: Tensor) -> Tensor:
    """Squared distance of the centres over the squared diagonal of the box around both."""
    diagonal = _enclosing(first, second).square().sum(dim=-1)
    distance = (box_centres(first) - box_centres(second)).square().sum(dim=-1)
    return distance / (diagonal + EPSILON)


def _overlap(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Intersection and union.

    A box turned inside out counts as empty: its negative area could make the union about 0, and
    the ratio anything.
    """
    intersection = _intersection(first, second)
    areas = [_product(box_sides(boxes).clamp(min=0)) for boxes in (first, second)]
    return intersection, areas[0] + areas[1] - intersection


def _intersection(first: Tensor, second: Tensor) -> Tensor:
    left, top, right, bottom = _coordinates(first)
    others = _coordinates(second)
    width = right.minimum(others[2]) - left.maximum(others[0])
    height = bottom.minimum(others[3]) - top.maximum(others[1])
    return width.clamp(min=0) * height.clamp(min=0)


def _coordinates(boxes: Tensor) -> Tensor:
    """(..., 4) to (4, ...), so that pairs are compared number by number: a third of the time."""
    return boxes.movedim(-1, 0).contiguous()


def _enclosing(first: Tensor, second: Tensor) -> Tensor:
    """Width and height of the smallest box around each pair, (..., 2)."""
    low = first[..., :2].minimum(second[..., :2])
    return first[..., 2:].maximum(second[..., 2:]) - low


def _product(sides: Tensor) -> Tensor:
    """(..., 2) to (...); unlike `prod`, its gradient does not wait for the GPU to count zeros."""
    return sides[..., 0] * sides[..., 1]
