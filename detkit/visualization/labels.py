"""Where the labels of boxes go: inside the picture, near their box, off each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Rectangle(NamedTuple):
    """Absolute pixels; `right` and `bottom` are outside."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Rectangle) -> float:
        """The area that two rectangles share."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, width) * max(0.0, height)


def place_labels(
    boxes: Sequence[Rectangle], sizes: Sequence[tuple[int, int]], picture: tuple[int, int]
) -> list[Rectangle]:
    """A place for the label of each box; earlier labels choose first.

    Each label takes the first free place of: on top of its box, at the box's other corners, inside
    it. Where none is free, it takes the one that covers least of the labels placed so far.

    Args:
        boxes: What the labels belong to.
        sizes: (height, width) of each label.
        picture: (height, width) that the labels stay inside, as far as they fit.
    """
    placed: list[Rectangle] = []
    for box, size in zip(boxes, sizes, strict=True):
        candidates = [_inside(place, size, picture) for place in _corners(box, size)]
        covered = [sum(place.overlap(other) for other in placed) for place in candidates]
        placed.append(candidates[covered.index(min(covered))])
    return placed


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
    place: tuple[float, float], size: tuple[int, int], picture: tuple[int, int]
) -> Rectangle:
    height, width = size
    left = max(0.0, min(place[0], picture[1] - width))
    top = max(0.0, min(place[1], picture[0] - height))
    return Rectangle(left, top, left + width, top + height)
