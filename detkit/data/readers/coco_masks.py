"""The masks of a COCO file: polygons, and runs of pixels (RLE)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask

from detkit.data.readers.coco_columns import CocoPage
from detkit.data.readers.json_lists import read_object
from detkit.structures.index_outlines import IndexOutlines, OutlineColumns, OutlineEntry

_CORNERS = 3  # fewer points enclose nothing
_APART = 2.0  # pixels by which the sides of a box and of its mask may differ,
_SHARE = 0.1  # or this share of the box; people draw both by hand
_NOTHING = OutlineEntry([])
NO_AREA, OUTSIDE = "no area", "outside the image"
DISAGREES = "disagrees with its box"
NOT_A_MASK = "neither polygons nor run-length encoding"
NO_PAIRS = "coordinates are not pairs of numbers"
FEW_POINTS = "polygon with fewer than 3 points"
OTHER_SIZE = "size differs from that of the image"
WRONG_RUNS = "runs do not add up to the size of the image"


@dataclass(frozen=True)
class MaskColumns:
    """The masks of all annotations of a file.

    Attributes:
        outlines: The outlines, by row of the page.
        faults: What is wrong with a mask, by row; it is used as far as possible.
    """

    outlines: IndexOutlines
    faults: dict[int, str]


def read_masks(page: CocoPage) -> MaskColumns:
    """Read the file again, with its segmentations, which then are not `unused`."""
    columns = OutlineColumns()
    faults: dict[int, str] = {}
    sizes = {number: (height, width) for number, _, height, width in page.images}
    row = 0

    def take(entries: Sequence[Any]) -> None:
        nonlocal row
        for entry in filter(lambda entry: isinstance(entry, dict), entries):
            size = sizes.get(page.image_ids[row], (0, 0))
            outline, fault = parse_mask(entry.get("segmentation"), size)
            fault = fault or _compared(outline, page.boxes[4 * row : 4 * row + 4], size)
            if fault:
                faults[row] = fault
            if fault in (NO_AREA, OUTSIDE):
                outline = _NOTHING
            columns.add(outline)
            row += 1

    read_object(page.file, {"annotations": take})
    page.unused.pop("segmentation", None)
    return MaskColumns(columns.build(), faults)


def parse_mask(segmentation: Any, size: tuple[int, int]) -> tuple[OutlineEntry, str]:
    """The outline in a segmentation, and what is wrong with it, empty if nothing is.

    Args:
        segmentation: Lists of x1, y1, x2, y2, ..., or one such list, or an object with `counts`
            (a list, or the compressed text) and `size`.
        size: (height, width) of the image.
    """
    try:
        if isinstance(segmentation, dict):
            return _runs(segmentation, size)
        return _polygons(segmentation or [])
    except (KeyError, TypeError, ValueError, OverflowError):
        return _NOTHING, NOT_A_MASK


def _polygons(segmentation: Any) -> tuple[OutlineEntry, str]:
    flat = bool(segmentation) and not isinstance(segmentation[0], list)
    polygons, fault = [], ""
    for numbers in [segmentation] if flat else segmentation:
        points = np.array(numbers, dtype=np.float32)
        if points.size % 2 or not np.isfinite(points).all():
            fault = NO_PAIRS
        elif len(points) < 2 * _CORNERS:
            fault = FEW_POINTS
        else:
            polygons.append(points.reshape(-1, 2))
    return OutlineEntry(polygons), fault


def _runs(segmentation: dict[str, Any], size: tuple[int, int]) -> tuple[OutlineEntry, str]:
    height, width = (int(length) for length in segmentation["size"])
    counts = segmentation["counts"]
    if (height, width) != size or height <= 0 or width <= 0:
        return _NOTHING, OTHER_SIZE
    if isinstance(counts, str):
        return _compressed(counts, (height, width))
    if sum(counts) != height * width:
        return _NOTHING, WRONG_RUNS
    encoded: Any = mask.frPyObjects({"counts": counts, "size": [height, width]}, height, width)
    return OutlineEntry([], encoded["counts"]), ""


def _compressed(counts: str, size: tuple[int, int]) -> tuple[OutlineEntry, str]:
    runs = counts.encode("ascii")
    try:
        mask.decode({"counts": runs, "size": list(size)})
    except ValueError:
        return _NOTHING, WRONG_RUNS
    return OutlineEntry([], runs), ""


def _compared(outline: OutlineEntry, box: Sequence[float], size: tuple[int, int]) -> str:
    """What is wrong with a mask next to its box (x, y, width, height) and image."""
    corners = _corners(outline, size)
    if corners is None:
        return ""
    x1, y1, x2, y2 = corners
    if min(x2 - x1, y2 - y1) <= 0 or not (outline.runs or any(map(_area, outline.polygons))):
        return NO_AREA
    if 0 not in size and (x2 <= 0 or y2 <= 0 or x1 >= size[1] or y1 >= size[0]):
        return OUTSIDE
    sides = np.array([box[0], box[1], box[0] + box[2], box[1] + box[3]])
    limit = np.maximum(_APART, _SHARE * np.array([box[2], box[3]] * 2))
    differs = np.abs(sides - (x1, y1, x2, y2)) > limit  # never where the box is NaN
    return DISAGREES if differs.any() else ""


def _corners(
    outline: OutlineEntry, size: tuple[int, int]
) -> tuple[float, float, float, float] | None:
    if outline.runs:
        x, y, w, h = mask.toBbox({"counts": outline.runs, "size": list(size)}).tolist()
        return x, y, x + w, y + h
    if not outline.polygons:
        return None
    points = np.concatenate(outline.polygons).astype(float)
    (x1, y1), (x2, y2) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return x1, y1, x2, y2


def _area(polygon: NDArray[np.float32]) -> float:
    x, y = polygon.T.astype(float)
    return abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1)))
