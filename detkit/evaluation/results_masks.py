"""The masks of a results file as runs of pixels."""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from typing import Any

from pycocotools import mask

from detkit.errors import DataError
from detkit.structures.encoded_masks import EncodedMasks

_LEAST = 6  # numbers of a polygon with three points
_NEEDED = (
    "expected COCO's runs of pixels ('size' of the image and 'counts'), or polygons, each a list "
    "of x1, y1, x2, y2, x3, y3 and so on"
)


def masks_of_rows(
    segmentations: Sequence[Any], size: tuple[int, int], source: str, image: str
) -> EncodedMasks:
    """The masks of an image's detections; a detection without one has no pixels.

    Args:
        segmentations: The mask of each detection as COCO writes it, or None.
        size: (height, width) of the image.
        source: The file, for messages.
        image: The image, for messages.

    Raises:
        DataError: A segmentation is neither runs of the image's pixels nor polygons.
    """
    runs = []
    for segmentation in segmentations:
        try:
            runs.append(_encoded(segmentation, size))
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            raise DataError(
                f"{source}: a detection of {image}, {size[1]} x {size[0]} pixels, has the "
                f"segmentation {reprlib.repr(segmentation)}; {_NEEDED}."
            ) from error
    return EncodedMasks(tuple(runs), size)


def _encoded(segmentation: Any, size: tuple[int, int]) -> bytes:
    height, width = size
    if segmentation is None:
        segmentation = {"size": [height, width], "counts": [height * width]}
    if not isinstance(segmentation, dict):
        if any(len(polygon) < _LEAST or len(polygon) % 2 for polygon in segmentation):
            raise ValueError("a polygon has fewer than three points")
        parts: Any = mask.frPyObjects([list(map(float, p)) for p in segmentation], height, width)
        return bytes(mask.merge(parts)["counts"])
    counts = segmentation["counts"]
    if tuple(segmentation["size"]) != size:
        raise ValueError("another size")
    if isinstance(counts, str):
        return counts.encode("ascii")
    if sum(counts) != height * width:
        raise ValueError("runs of another size")
    encoded: Any = mask.frPyObjects({"counts": counts, "size": [height, width]}, height, width)
    return bytes(encoded["counts"])
