"""Outlines of the shapes, and coverage masks made from them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Points = NDArray[np.float64]  # (K, 2) x and y, about the origin, within the unit circle
Mask = NDArray[np.float32]  # (H, W) share of each pixel that is covered

SUPERSAMPLING = 4


class Outline(NamedTuple):
    """A filled polygon and the hole cut out of it."""

    border: Points
    hole: Points | None = None

    def placed(self, matrix: NDArray[np.float64], centre: NDArray[np.float64]) -> Outline:
        """The outline after a linear map and a shift."""
        hole = None if self.hole is None else self.hole @ matrix.T + centre
        return Outline(self.border @ matrix.T + centre, hole)


def _around(count: int, radius: float = 1.0, start: float = -np.pi / 2) -> Points:
    angles = start + np.arange(count) * (2 * np.pi / count)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius


def _circle(_: np.random.Generator) -> Outline:
    return Outline(_around(64))


def _square(_: np.random.Generator) -> Outline:
    return Outline(_around(4, start=np.pi / 4))


def _triangle(_: np.random.Generator) -> Outline:
    return Outline(_around(3))


def _star(random: np.random.Generator) -> Outline:
    points = _around(10)
    points[1::2] *= random.uniform(0.38, 0.5)
    return Outline(points)


def _cross(random: np.random.Generator) -> Outline:
    arm = random.uniform(0.24, 0.36)
    quarter = np.array([[arm, -0.95], [arm, -arm], [0.95, -arm]])
    turns = [np.array([[0, -1], [1, 0]])] * 3
    corners = [quarter]
    for turn in turns:
        corners.append(corners[-1] @ turn.T)
    return Outline(np.concatenate(corners))


def _ring(random: np.random.Generator) -> Outline:
    return Outline(_around(64), _around(64, radius=random.uniform(0.5, 0.68)))


KINDS = {
    "circle": _circle,
    "cross": _cross,
    "ring": _ring,
    "square": _square,
    "star": _star,
    "triangle": _triangle,
}


def coverage(outline: Outline, size: tuple[int, int]) -> Mask:
    """The share of each pixel of a (height, width) canvas inside an outline."""
    height, width = size
    canvas = Image.new("L", (width * SUPERSAMPLING, height * SUPERSAMPLING))
    draw = ImageDraw.Draw(canvas)
    # PIL fills both edges of a polygon: half a subpixel too much on each side, so centred as it is
    draw.polygon([tuple(p) for p in outline.border * SUPERSAMPLING], fill=255)
    if outline.hole is not None:
        draw.polygon([tuple(p) for p in outline.hole * SUPERSAMPLING], fill=0)
    return np.asarray(canvas.reduce(SUPERSAMPLING), dtype=np.float32) / np.float32(255)
