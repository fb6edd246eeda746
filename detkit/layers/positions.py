"""Positions of the cells of feature maps, for transformers. T tokens, D width."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_TEMPERATURE = 10_000.0
_LEAST = 1e-6  # added to the last position of a row or column


def cells_inside(size: tuple[int, int], stride: int, image_sizes: Tensor) -> Tensor:
    """(B, 2) float32 rows and columns of a map (H, W) that start inside the images (B, 2)."""
    limit = torch.stack([torch.scalar_tensor(side) for side in size])
    return (image_sizes / stride).ceil().minimum(limit.to(image_sizes)).clamp(min=1)


def inside_mask(size: tuple[int, int], cells: Tensor) -> Tensor:
    """(B, H, W) bool, true for the first rows and columns `cells` (B, 2) of a map (H, W)."""
    rows, columns = (torch.arange(side, device=cells.device) for side in size)
    return (rows < cells[:, :1])[:, :, None] & (columns < cells[:, 1:])[:, None]


def sine_positions(size: tuple[int, int], cells: Tensor, width: int) -> Tensor:
    """(B, H, W, D) sines and cosines of the row, then of the column, of each cell.

    Rows and columns count from 1 and are divided by `cells` (B, 2), the number inside the image, so
    that padding has no effect on them.

    Paper: End-to-End Object Detection with Transformers (Carion et al., 2020), appendix A.4,
        https://arxiv.org/abs/2005.12872
    """
    half = width // 2
    exponent = torch.arange(0, half, 2, device=cells.device) / half
    periods = _TEMPERATURE**exponent  # (D / 4,)
    codes = []
    for axis, side in enumerate(size):
        position = torch.arange(1, side + 1, device=cells.device) / (cells[:, axis, None] + _LEAST)
        angle = 2 * math.pi * position[..., None] / periods  # (B, side, D / 4)
        codes.append(torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2))
    height, width_of_map = size
    rows = codes[0][:, :, None].expand(-1, -1, width_of_map, -1)
    columns = codes[1][:, None].expand(-1, height, -1, -1)
    return torch.cat([rows, columns], dim=-1)
