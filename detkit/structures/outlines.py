"""Outlines of objects as polygons, which every transform moves exactly; imports no torch.

Masks stay polygons until the batch is made: moving points is exact and takes microseconds, where
warping a bitmap per object rounds in every step and takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Bitmap = NDArray[np.bool_]
Offsets = NDArray[np.int64]


@dataclass(frozen=True)
class Outlines:
    """The outlines of N objects: closed rings of points; R rings with P points.

    The pixels of an object are those whose centre is inside any of its rings (the nonzero winding
    rule; all rings turn the same way). An object without rings has no mask.

    Attributes:
        points: (P, 2) float64 x and y.
        ring_offsets: (R + 1,) int64; ring r has the points `ring_offsets[r]:ring_offsets[r + 1]`.
        object_offsets: (N + 1,) int64; object n has the rings
            `object_offsets[n]:object_offsets[n + 1]`.
    """

    points: NDArray[np.float64]
    ring_offsets: Offsets
    object_offsets: Offsets

    def __len__(self) -> int:
        return len(self.object_offsets) - 1

    @staticmethod
    def of(objects: Sequence[Sequence[NDArray[np.float64]]]) -> Outlines:
        """The outlines of objects, each a list of rings (K, 2)."""
        rings = [ring for rings in objects for ring in rings]
        return Outlines(
            np.concatenate([*rings, np.zeros((0, 2))]).astype(np.float64),
            _offsets([len(ring) for ring in rings]),
            _offsets([len(rings) for rings in objects]),
        )

    @property
    def has_mask(self) -> Bitmap:
        """(N,) whether an object has a ring."""
        return np.diff(self.object_offsets) > 0

    def rings(self, position: int) -> list[NDArray[np.float64]]:
        """The rings (K, 2) of an object."""
        rings = range(*self.object_offsets[position : position + 2])
        return [self.points[slice(*self.ring_offsets[r : r + 2])] for r in rings]

    def select(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> Outlines:
        """The objects selected by a mask or by positions."""
        positions = np.arange(len(self))[keep]
        return Outlines.of([self.rings(int(position)) for position in positions])

    def moved(self, matrix: NDArray[np.float64]) -> Outlines:
        """The outlines after a (3, 3) projective map."""
        points = self.points @ matrix[:, :2].T + matrix[:, 2]
        return replace(self, points=points[:, :2] / points[:, 2:])

    def clipped(self, low: tuple[float, float], high: tuple[float, float]) -> Outlines:
        """The parts of the outlines inside a window from (x1, y1) to (x2, y2).

        Edges are divided where they cross a side of the window, and points outside are moved to
        the side. What is then left of the outside has no area.
        """
        outlines = self
        for axis in range(2):
            for limit in (low[axis], high[axis]):
                outlines = outlines._divided(axis, limit)
        points = outlines.points.clip(low, high)
        return replace(outlines, points=points)._without_flat_rings()

    def bitmap(self, position: int, size: tuple[int, int]) -> Bitmap:
        """The pixels (height, width) of an object."""
        bitmap = np.zeros(size, np.bool_)
        rings = self.rings(position)
        if rings:
            corners = np.concatenate(rings)
            low, high = np.floor(corners.min(axis=0)), np.ceil(corners.max(axis=0))
            left, top = np.clip(low, 0, size[::-1]).astype(int)
            right, bottom = np.clip(high, 0, size[::-1]).astype(int)
            window = (int(bottom - top), int(right - left))
            bitmap[top:bottom, left:right] = _filled([r - (left, top) for r in rings], window)
        return bitmap

    def _next(self) -> NDArray[np.int64]:
        """(P,) the position of the next point of each point's ring."""
        following = np.arange(1, len(self.points) + 1)
        lengths = np.diff(self.ring_offsets)
        last = self.ring_offsets[1:][lengths > 0] - 1
        following[last] = self.ring_offsets[:-1][lengths > 0]
        return following

    def _divided(self, axis: int, limit: float) -> Outlines:
        """The same outlines with a point wherever an edge crosses x = limit or y = limit."""
        if not np.isfinite(limit):
            return self
        following = self.points[self._next()]
        start, end = self.points[:, axis] - limit, following[:, axis] - limit
        crosses = np.flatnonzero(start * end < 0)
        if not len(crosses):
            return self
        share = start[crosses] / (start[crosses] - end[crosses])
        crossing = self.points[crosses] + share[:, None] * (following - self.points)[crosses]
        crossing[:, axis] = limit
        before = np.searchsorted(crosses, self.ring_offsets)  # points added ahead of each ring
        return replace(
            self,
            points=np.insert(self.points, crosses + 1, crossing, axis=0),
            ring_offsets=self.ring_offsets + before,
        )

    def _without_flat_rings(self) -> Outlines:
        """The same objects without rings that have become a line or a point."""
        lengths = np.diff(self.ring_offsets)
        if not len(lengths):
            return self
        low = np.minimum.reduceat(self.points, self.ring_offsets[:-1])
        high = np.maximum.reduceat(self.points, self.ring_offsets[:-1])
        keep = (high > low).all(axis=1)
        if keep.all():
            return self
        kept_before = np.append(0, np.cumsum(keep))
        return Outlines(
            self.points[np.repeat(keep, lengths)],
            _offsets(lengths[keep].tolist()),
            kept_before[self.object_offsets],
        )


def join_outlines(parts: Sequence[Outlines]) -> Outlines:
    """The objects of several outlines, one after another."""
    return Outlines.of([part.rings(n) for part in parts for n in range(len(part))])


def turned_alike(ring: NDArray[np.float64]) -> NDArray[np.float64]:
    """A ring with its points in the order that gives a positive area."""
    x, y = ring[:, 0], ring[:, 1]
    return ring if x @ np.roll(y, -1) >= y @ np.roll(x, -1) else ring[::-1]


def rectangles_of(bitmap: Bitmap) -> list[NDArray[np.float64]]:
    """The pixels of a bitmap (H, W) as rectangles, one for each vertical run."""
    columns = np.pad(bitmap.T.astype(np.int8), ((0, 0), (1, 1)))
    steps = np.diff(columns, axis=1)  # (W, H + 1)
    left, top = np.nonzero(steps > 0)
    _, bottom = np.nonzero(steps < 0)
    x, y = np.stack([left, left + 1, left + 1, left]), np.stack([top, top, bottom, bottom])
    return list(np.stack([x, y], axis=-1).transpose(1, 0, 2).astype(np.float64))


def _filled(rings: Sequence[NDArray[np.float64]], size: tuple[int, int]) -> Bitmap:
    """The pixels (height, width) whose centre is inside a ring."""
    height, width = size
    start = np.concatenate(rings)
    end = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings])
    # rows whose centre is between the ends of each edge
    first = np.ceil(np.minimum(start[:, 1], end[:, 1]) - 0.5).clip(0, height).astype(np.int64)
    last = np.ceil(np.maximum(start[:, 1], end[:, 1]) - 0.5).clip(0, height).astype(np.int64)
    counts = last - first
    edges = np.repeat(np.arange(len(start)), counts)
    rows = np.arange(len(edges)) - np.repeat(counts.cumsum() - counts, counts) + first[edges]
    down = end[edges, 1] - start[edges, 1]
    share = (rows + 0.5 - start[edges, 1]) / down
    x = start[edges, 0] + share * (end[edges, 0] - start[edges, 0])
    columns = np.ceil(x - 0.5).clip(0, width).astype(np.int64)
    cells = np.bincount(rows * (width + 1) + columns, np.sign(down), height * (width + 1))
    winding = cells.reshape(height, width + 1)[:, :width].cumsum(axis=1)
    return np.abs(winding) > 0.5  # noqa: PLR2004  # whole numbers, as floats


def _offsets(lengths: Sequence[int]) -> Offsets:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
