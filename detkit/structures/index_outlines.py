"""The outlines of a data set's objects as flat arrays, decoded for one image at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class OutlineEntry(NamedTuple):
    """The outline of an object as annotated, with neither polygons nor runs if it has none.

    Attributes:
        polygons: Polygons (K, 2); the object is all of them together.
        runs: Runs of pixels in COCO's compressed encoding; empty for polygons.
    """

    polygons: list[NDArray[np.float32]]
    runs: bytes = b""


@dataclass(frozen=True)
class IndexOutlines:
    """The outlines of M objects. Runs stay encoded: decoded, they take a hundred times the memory.

    Attributes:
        points: (P, 2) float32 x and y of all polygons.
        polygon_offsets: (R + 1,) int64 offsets of the R polygons in `points`.
        object_offsets: (M + 1,) int64 offsets of the objects in the polygons.
        runs: (Q,) uint8 encoded runs of all objects.
        run_offsets: (M + 1,) int64 offsets of the objects in `runs`.
    """

    points: NDArray[np.float32]
    polygon_offsets: NDArray[np.int64]
    object_offsets: NDArray[np.int64]
    runs: NDArray[np.uint8]
    run_offsets: NDArray[np.int64]

    @property
    def has_outline(self) -> NDArray[np.bool_]:
        """(M,) whether an object has polygons or runs."""
        return (np.diff(self.object_offsets) > 0) | (np.diff(self.run_offsets) > 0)

    def entry(self, position: int) -> OutlineEntry:
        """The outline of an object."""
        polygons = range(*self.object_offsets[position : position + 2])
        return OutlineEntry(
            [self.points[slice(*self.polygon_offsets[p : p + 2])] for p in polygons],
            self.runs[slice(*self.run_offsets[position : position + 2])].tobytes(),
        )

    def select(self, objects: NDArray[np.int64]) -> IndexOutlines:
        """The outlines of the objects at these positions, in this order; -1 has no outline."""
        polygons, polygon_counts = _spans(self.object_offsets, objects)
        points, lengths = _spans(self.polygon_offsets, polygons)
        runs, run_counts = _spans(self.run_offsets, objects)
        return IndexOutlines(
            points=self.points[points],
            polygon_offsets=_offsets(lengths),
            object_offsets=_offsets(polygon_counts),
            runs=self.runs[runs],
            run_offsets=_offsets(run_counts),
        )


class OutlineColumns:
    """Collects outlines into flat arrays, in parts, so that memory holds few Python objects."""

    def __init__(self) -> None:
        self._points = bytearray()
        self._runs = bytearray()
        self._lengths: list[int] = []
        self._counts: list[int] = []
        self._run_lengths: list[int] = []

    def add(self, entry: OutlineEntry) -> None:
        """Add the outline of the next object."""
        for polygon in entry.polygons:
            self._points += polygon.astype(np.float32).tobytes()
            self._lengths.append(len(polygon))
        self._counts.append(len(entry.polygons))
        self._runs += entry.runs
        self._run_lengths.append(len(entry.runs))

    def build(self) -> IndexOutlines:
        """The flat arrays."""
        return IndexOutlines(
            points=np.frombuffer(bytes(self._points), np.float32).reshape(-1, 2),
            polygon_offsets=_offsets(np.array(self._lengths, np.int64)),
            object_offsets=_offsets(np.array(self._counts, np.int64)),
            runs=np.frombuffer(bytes(self._runs), np.uint8),
            run_offsets=_offsets(np.array(self._run_lengths, np.int64)),
        )


def _spans(
    offsets: NDArray[np.int64], items: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The positions of everything that belongs to some items, and how much belongs to each."""
    is_real = items >= 0
    rows = items.clip(min=0)
    empty = len(offsets) == 1
    starts = np.zeros_like(rows) if empty else offsets[rows]
    counts = np.zeros_like(rows) if empty else np.where(is_real, offsets[rows + 1] - starts, 0)
    before = counts.cumsum() - counts
    positions = np.arange(counts.sum()) - np.repeat(before - starts, counts)
    return positions.astype(np.int64), counts


def _offsets(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
