"""Place labels near their boxes without hiding anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
_MOST_HIDDEN = 0.15  # share of a box that labels may cover


class Rectangle(NamedTuple):
    """Absolute pixels; `right` and `bottom` are exclusive."""

    left: float
    top: float
    right: float
    bottom: float


class Placement(NamedTuple):
    """The position of a label.

    Attributes:
        rectangle: The pixels that the label covers.
        size: Index of the size used.
    """

    rectangle: Rectangle
    size: int


def place_labels(
    boxes: Sequence[Rectangle], sizes: Sequence[Sequence[tuple[int, int]]], picture: tuple[int, int]
) -> list[Placement | None]:
    """Place each box's label so that it hides neither an object nor another label.

    Each label takes the first position that is free of earlier labels and covers little of every
    box: above its box, below it, inside it. If there is none, it tries its smaller sizes. A label
    without a free position is left out (None), so objects stay visible in a crowd.

    Args:
        boxes: The boxes that the labels belong to; earlier ones choose first.
        sizes: Sizes (height, width) that each label can have, in order of preference.
        picture: (height, width) of the picture, which labels do not leave if they fit.
    """
    state = _Surroundings(boxes)
    placements: list[Placement | None] = []
    for box, offered in zip(boxes, sizes, strict=True):
        placement = None
        for index, size in enumerate(offered):
            candidates = [_inside(corner, size, picture) for corner in _corners(box, size)]
            position = state.first_free(candidates)
            if position is not None:
                placement = Placement(candidates[position], index)
                break
        placements.append(placement)
    return placements


class _Surroundings:
    """Areas that labels must not hide: N boxes, and the labels placed so far."""

    def __init__(self, boxes: Sequence[Rectangle]) -> None:
        self._boxes = np.array(boxes, dtype=np.float64).reshape(-1, 4)
        self._areas = np.prod(self._boxes[:, 2:] - self._boxes[:, :2], axis=1)
        self._hidden = np.zeros(len(self._boxes))  # share of each box
        self._labels = np.empty((0, 4))

    def first_free(self, candidates: Sequence[Rectangle]) -> int | None:
        """Take the first candidate that hides no label and little of the boxes; its index."""
        rectangles = np.array(candidates)  # (R, 4)
        hidden = self._hidden + _overlaps(rectangles, self._boxes) / self._areas  # (R, N)
        is_free = _overlaps(rectangles, self._labels).sum(axis=1) == 0
        usable = np.flatnonzero(is_free & (hidden.max(axis=1, initial=0.0) <= _MOST_HIDDEN))
        if not len(usable):
            return None
        first = int(usable[0])
        self._hidden = hidden[first]
        self._labels = np.vstack([self._labels, rectangles[first]])
        return first


def _overlaps(rectangles: Values, other_boxes: Values) -> Values:
    """(R, N) intersection areas of R rectangles and N boxes."""
    least = np.maximum(rectangles[:, None, :2], other_boxes[None, :, :2])
    most = np.minimum(rectangles[:, None, 2:], other_boxes[None, :, 2:])
    shared: Values = np.prod(np.clip(most - least, 0, None), axis=2)
    return shared


def _corners(box: Rectangle, size: tuple[int, int]) -> list[tuple[float, float]]:
    """(left, top) of a label at the corners of a box, outside first, in order of preference."""
    height, width = size
    right, middle = box.right - width, (box.left + box.right - width) / 2
    outside = [(box.left, box.top - height), (right, box.top - height), (middle, box.top - height)]
    outside += [(box.left, box.bottom), (right, box.bottom), (middle, box.bottom)]
    inside = [(box.left, box.top), (right, box.top)]
    inside += [(box.left, box.bottom - height), (right, box.bottom - height)]
    centre = (middle, (box.top + box.bottom - height) / 2)
    return [*outside, *inside, centre]


def _inside(
    corner: tuple[float, float], size: tuple[int, int], picture: tuple[int, int]
) -> Rectangle:
    height, width = size
    x = max(0.0, min(corner[0], picture[1] - width))
    y = max(0.0, min(corner[1], picture[0] - height))
    return Rectangle(x, y, x + width, y + height)
