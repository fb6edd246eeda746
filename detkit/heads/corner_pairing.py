"""Pair corners to boxes. B images, K corners of each kind, C classes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from detkit.heads.corner_layers import CornerMaps
from detkit.ops import clip_boxes
from detkit.ops.rows import take_rows


class Corners(NamedTuple):
    """The best top left (0) and bottom right (1) corners.

    Attributes:
        scores: (B, 2, K), best first.
        labels: (B, 2, K).
        points: (B, 2, K, 2) x and y in cells.
        embeddings: (B, 2, K).
    """

    scores: Tensor
    labels: Tensor
    points: Tensor
    embeddings: Tensor


class BoxCandidates(NamedTuple):
    """The best pairs of corners of each image as boxes.

    Attributes:
        boxes: (B, M, 4) absolute xyxy, inside the image.
        scores: (B, M); 0 for corners that do not form a box.
        labels: (B, M).
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor


def best_corners(maps: CornerMaps, number: int) -> Corners:
    """The local maxima of the heat maps with the highest scores.

    Args:
        maps: Predictions in float32.
        number: K, at most the number of cells times C.
    """
    classes, height, width = maps.class_logits.shape[2:]
    heat = maps.class_logits.sigmoid()
    highest = F.max_pool2d(heat.flatten(0, 1), kernel_size=3, stride=1, padding=1).view_as(heat)
    peaks = torch.where(heat == highest, heat, 0).flatten(2)  # (B, 2, C * H * W)
    scores, index = peaks.topk(torch.sym_min(number, classes * height * width), dim=-1)
    cell = _numbers(classes, height * width, index, axis=1)
    offsets = maps.offsets.flatten(3).mT  # (B, 2, H * W, 2)
    offsets = offsets.gather(2, cell[..., None].expand(-1, -1, -1, 2))
    return Corners(
        scores=scores,
        labels=_numbers(classes, height * width, index, axis=0),
        points=torch.stack([_numbers(height, width, cell, axis=n) for n in (1, 0)], dim=-1)
        + offsets,
        embeddings=maps.embeddings.flatten(2).gather(2, cell),
    )


def pair_corners(
    corners: Corners, *, stride: int, image_sizes: Tensor, distance: float, limit: int
) -> BoxCandidates:
    """The best pairs of a top left and a bottom right corner of one class.

    A pair's embeddings differ by at most `distance`, and its box has an area inside the image. Its
    score is the mean of both corners' scores.

    Args:
        corners: The corners.
        stride: Pixels per cell.
        image_sizes: (B, 2) height and width.
        distance: Largest difference of embeddings.
        limit: The most pairs of an image.
    """
    first, second = (Corners(*(field[:, kind] for field in corners)) for kind in (0, 1))
    number = first.scores.shape[1]
    boxes = torch.cat(
        [
            first.points[:, :, None].expand(-1, -1, number, -1),
            second.points[:, None].expand(-1, number, -1, -1),
        ],
        dim=-1,
    )  # (B, K, K, 4)
    boxes = clip_boxes(boxes * stride, image_sizes[:, None, None])
    fits = first.labels[:, :, None] == second.labels[:, None]
    fits &= (first.embeddings[:, :, None] - second.embeddings[:, None]).abs() <= distance
    fits &= (boxes[..., 2:] > boxes[..., :2]).all(dim=-1)
    scores = first.scores[:, :, None], second.scores[:, None]
    fits &= (scores[0] > 0) & (scores[1] > 0)  # where a map has fewer maxima than K
    means = torch.where(fits, (scores[0] + scores[1]) / 2, 0).flatten(1)  # (B, K * K)
    best, index = means.topk(torch.sym_min(limit, number * number), dim=1)
    row = _numbers(number, number, index, axis=0)
    return BoxCandidates(take_rows(boxes.flatten(1, 2), index), best, first.labels.gather(1, row))


def _numbers(rows: int, columns: int, index: Tensor, *, axis: int) -> Tensor:
    """The row (axis 0) or column (1) of cells of a table, counted row by row.

    Looked up, since a graph for ONNX cannot divide by a length that is not fixed.
    """
    numbers = torch.arange((rows, columns)[axis], device=index.device)
    return numbers.unsqueeze(1 - axis).expand(rows, columns).flatten()[index]
