"""Boxes as pure functions: absolute xyxy in continuous coordinates, any leading axes."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torchvision.ops import box_iou

EPSILON = 1e-7  # keeps ratios of empty boxes finite, as torchvision's losses do


def box_areas(boxes: Tensor) -> Tensor:
    """(..., 4) to (...)."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def box_centres(boxes: Tensor) -> Tensor:
    """(..., 4) to (..., 2) as x, y."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def clip_boxes(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes (..., 4) cut to an image of size (height, width)."""
    limit = torch.tensor([size[1], size[0]] * 2, dtype=boxes.dtype, device=boxes.device)
    return boxes.clamp(min=0).minimum(limit)


def pairwise_iou(first: Tensor, second: Tensor) -> Tensor:
    """(N, 4) and (M, 4) to (N, M)."""
    return box_iou(first, second)


def share_inside(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over the area of the first: (N, 4) and (M, 4) to (N, M)."""
    low = first[:, None, :2].maximum(second[None, :, :2])
    high = first[:, None, 2:].minimum(second[None, :, 2:])
    intersection = (high - low).clamp(min=0).prod(dim=-1)
    return intersection / box_areas(first)[:, None].clamp(min=EPSILON)


def iou(first: Tensor, second: Tensor) -> Tensor:
    """Intersection over union of pairs: (..., 4) and (..., 4) to (...)."""
    intersection, union = _overlap(first, second)
    return intersection / (union + EPSILON)


def generalized_iou(first: Tensor, second: Tensor) -> Tensor:
    """IoU minus the empty share of the enclosing box (Rezatofighi et al., 2019, equation 1)."""
    intersection, union = _overlap(first, second)
    enclosing = _enclosing(first, second).prod(dim=-1)
    return intersection / (union + EPSILON) - (enclosing - union) / (enclosing + EPSILON)


def distance_iou(first: Tensor, second: Tensor) -> Tensor:
    """IoU minus the squared centre distance over the enclosing diagonal (Zheng et al., 2020)."""
    diagonal = _enclosing(first, second).square().sum(dim=-1) + EPSILON
    distance = (box_centres(first) - box_centres(second)).square().sum(dim=-1)
    return iou(first, second) - distance / diagonal


def complete_iou(first: Tensor, second: Tensor) -> Tensor:
    """Distance IoU minus a penalty for another ratio of the sides (Zheng et al., 2020).

    The weight of the penalty is a constant for the gradient, as in the paper's code.
    """
    sides_first, sides_second = first[..., 2:] - first[..., :2], second[..., 2:] - second[..., :2]
    angle_first = torch.atan(sides_first[..., 0] / sides_first[..., 1].clamp(min=EPSILON))
    angle_second = torch.atan(sides_second[..., 0] / sides_second[..., 1].clamp(min=EPSILON))
    penalty = (4 / math.pi**2) * (angle_second - angle_first).square()
    with torch.no_grad():
        weight = penalty / (1 - iou(first, second) + penalty + EPSILON)
    return distance_iou(first, second) - weight * penalty


def _overlap(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    low = first[..., :2].maximum(second[..., :2])
    high = first[..., 2:].minimum(second[..., 2:])
    intersection = (high - low).clamp(min=0).prod(dim=-1)
    return intersection, box_areas(first) + box_areas(second) - intersection


def _enclosing(first: Tensor, second: Tensor) -> Tensor:
    """Width and height of the smallest box around each pair, (..., 2)."""
    low = first[..., :2].minimum(second[..., :2])
    return first[..., 2:].maximum(second[..., 2:]) - low
