"""Overlapping windows of several sizes and shapes that cover an image."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

SIZES = (0.1, 0.15, 0.23, 0.35, 0.5, 0.75)
RATIOS = (0.5, 1.0, 2.0)
STEP = 0.5


def grid_boxes(
    sizes: Sequence[float] = SIZES, ratios: Sequence[float] = RATIOS, step: float = STEP
) -> Tensor:
    """(G, 4) windows in shares of the image's width and height; the largest come first.

    Args:
        sizes: Square roots of the windows' areas, as shares of the image's.
        ratios: Widths over heights, relative to the image's.
        step: Largest distance of neighbours, as a share of their side.
    """
    windows = []
    for size, ratio in itertools.product(sorted(sizes, reverse=True), ratios):
        sides = (min(size * math.sqrt(ratio), 1.0), min(size / math.sqrt(ratio), 1.0))
        columns, rows = (_starts(side, step) for side in sides)
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        corners = torch.stack([x, y], dim=-1).reshape(-1, 2)
        windows.append(torch.cat([corners, corners + torch.tensor(sides)], dim=1))
    return torch.cat(windows).clamp(max=1.0)


def _starts(side: float, step: float) -> Tensor:
    """The first coordinates of windows of a side, evenly spaced from 0 to 1 - side."""
    count = math.ceil((1 - side) / (side * step) - 1e-6) + 1
    return torch.linspace(0, 1 - side, count)
