"""The pixels of an image that a detection's small map covers; imports no torch."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class MaskPlacement(NamedTuple):
    """Where a map with a border of one cell lies after resizing it to whole pixels, as torchvision.

    The box grows by the border, so that a mask ends smoothly.

    Attributes:
        top: First row of the resized map in the image; may be outside of it.
        left: First column.
        height: Rows of the resized map.
        width: Columns of the resized map.
        rows: The rows of the image that the map covers.
        columns: The columns of the image that the map covers.
    """

    top: int
    left: int
    height: int
    width: int
    rows: slice
    columns: slice

    @staticmethod
    def of(box: NDArray[Any], side: int, size: tuple[int, int]) -> MaskPlacement | None:
        """The place of the map of a detection; None if its box is not finite.

        Args:
            box: (4,) xyxy in pixels of the image.
            side: Cells along a side of the map, without the border.
            size: (height, width) of the image.
        """
        if not np.isfinite(box).all():  # the metric leaves such detections out
            return None
        # In the precision of the box, as rounding to whole pixels may depend on the last digit.
        low, high = box[:2], box[2:]
        reach, centre = (high - low) * 0.5 * ((side + 2) / side), (high + low) * 0.5
        left, top = (centre - reach).astype(np.int64).tolist()
        right, bottom = (centre + reach).astype(np.int64).tolist()
        return MaskPlacement(
            top=top,
            left=left,
            height=max(bottom - top + 1, 1),
            width=max(right - left + 1, 1),
            rows=_overlap(top, bottom + 1, size[0]),
            columns=_overlap(left, right + 1, size[1]),
        )

    @property
    def inside(self) -> tuple[slice, slice]:
        """The rows and columns of the resized map that are in the image."""
        rows, columns = self.rows, self.columns
        return (
            slice(rows.start - self.top, rows.stop - self.top),
            slice(columns.start - self.left, columns.stop - self.left),
        )


def _overlap(start: int, stop: int, length: int) -> slice:
    """The part of start..stop - 1 that is in 0..length - 1; empty at the nearer end if none is."""
    first = min(max(start, 0), length)
    return slice(first, max(min(stop, length), first))
