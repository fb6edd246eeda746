"""Overlapping tiles of an image: where they are. Imports no torch."""

from __future__ import annotations

from typing import NamedTuple

from detkit.pixels.resizing import Size


class Window(NamedTuple):
    """A part of an image, in whole pixels.

    Attributes:
        left: First column.
        top: First row.
        right: Column after the last one.
        bottom: Row after the last one.
    """

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> Size:
        """Its (height, width)."""
        return self.bottom - self.top, self.right - self.left


def tile_windows(image: Size, tile: Size, overlap: float) -> list[Window]:
    """The tiles of an image, row by row.

    Neighbours share `overlap` of a tile, rounded down to whole pixels. The last tile of a row or
    column is shifted inward, so that every tile has the full size; a side shorter than a tile is
    one tile of that length.

    Args:
        image: (height, width) of the image.
        tile: (height, width) of a tile.
        overlap: Share of a tile, from 0 to below 1.
    """
    rows, columns = (
        _spans(length, side, overlap) for length, side in zip(image, tile, strict=True)
    )
    return [Window(left, top, right, bottom) for top, bottom in rows for left, right in columns]


def _spans(length: int, side: int, overlap: float) -> list[tuple[int, int]]:
    if length <= side:
        return [(0, length)]
    step = side - int(side * overlap)
    starts = [*range(0, length - side, step), length - side]
    return [(start, start + side) for start in starts]
