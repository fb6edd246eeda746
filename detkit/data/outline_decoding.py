"""Outlines between COCO's encodings and polygons."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask

from detkit.errors import DataError
from detkit.structures import DatasetIndex
from detkit.structures.outlines import Outlines, rectangles_of, turned_alike
from detkit.text import counted

LOGGER = logging.getLogger("detkit.data")


def decode_outlines(index: DatasetIndex, objects: range, size: tuple[int, int]) -> Outlines:
    """The outlines of an image's objects as rings; runs of pixels become rectangles.

    Args:
        index: The whole data set; without masks, objects have none.
        objects: The positions of the image's objects.
        size: (height, width) of the image as annotated.
    """
    rings: list[list[NDArray[np.float64]]] = []
    for position in objects:
        polygons, runs = index.outlines.entry(position) if index.outlines else ([], b"")
        if runs:
            bitmap = mask.decode({"counts": runs, "size": list(size)})
            rings.append(rectangles_of(bitmap.astype(np.bool_)))
        else:
            rings.append([turned_alike(_as_annotated(polygon)) for polygon in polygons])
    return Outlines.of(rings)


def require_masks(index: DatasetIndex) -> None:
    """Check that there are masks to learn from, and report how many objects have none.

    Raises:
        DataError: No object has one.
    """
    total = int((~index.ignored).sum())
    objects, usable = counted(total, "training object"), 0
    if index.outlines is not None:
        usable = int((index.outlines.has_outline & ~index.ignored).sum())
    if not usable:
        raise DataError(
            f"the detector has a mask head, but none of the {objects} in "
            f"'{index.root}' has a mask: train on COCO annotations with segmentations, or set "
            "model.roi_head.mask_head=null to learn boxes alone."
        )
    if usable < total:
        LOGGER.info(
            "masks: %s of %s have one; the others train boxes alone", f"{usable:,}", objects
        )


def _as_annotated(polygon: NDArray[np.float32]) -> NDArray[np.float64]:
    """The decimal numbers that were rounded to float32.

    COCO rounds coordinates to fifths of a pixel. Numbers such as 10.3 are halfway between two of
    them, so the rounding error of float32 would move a border by a pixel.
    """
    return polygon.astype(np.str_).astype(np.float64)
