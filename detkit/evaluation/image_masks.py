"""The masks of an image's detections and objects as runs of pixels, for mask AP."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask

from detkit.structures import Detections, Target

Segmentation = dict[str, Any]
_NOTHING: Segmentation = {"size": [1, 1], "counts": b"1"}  # a pixel that is not set


class ImageMasks(NamedTuple):
    """The masks of one image, in COCO's compressed encoding.

    Attributes:
        size: (height, width) of the image.
        detections: The pixels of each detection.
        objects: The pixels of each object; those of its box if it has no mask.
        unmasked: (M,) whether an object has no mask.
    """

    size: tuple[int, int]
    detections: tuple[bytes, ...]
    objects: tuple[bytes, ...]
    unmasked: NDArray[np.bool_]

    def content(self) -> bytes:
        """Bytes that differ between two results for the same image."""
        return b"".join(self.detections)

    def segmentations(self, runs: tuple[bytes, ...]) -> list[Segmentation]:
        """The runs of detections or objects as COCO's evaluation takes them."""
        return [{"size": list(self.size), "counts": counts} for counts in runs]


def image_masks(detections: Detections, target: Target) -> ImageMasks | None:
    """The masks of one image; None if its detections or its objects have none."""
    if detections.masks is None or target.outlines is None:
        return None
    encoded = detections.masks.encoded()
    return ImageMasks(
        size=encoded.size,
        detections=encoded.runs,
        objects=_encoded_objects(target, encoded.size),
        unmasked=~target.outlines.has_mask,
    )


def object_segmentations(masks: ImageMasks | None, count: int) -> list[Segmentation]:
    """The masks of an image's objects; of an image without detections they are not needed."""
    return [_NOTHING] * count if masks is None else masks.segmentations(masks.objects)


def _encoded_objects(target: Target, size: tuple[int, int]) -> tuple[bytes, ...]:
    """The pixels of each object, drawn by pycocotools, whose polygons differ at their borders."""
    encoded = []
    boxes = target.boxes.double().tolist()
    for position, (x1, y1, x2, y2) in enumerate(boxes):
        rings = target.outlines.rings(position) if target.outlines is not None else []
        polygons = [ring.ravel().tolist() for ring in rings]
        polygons = polygons or [[x1, y1, x2, y1, x2, y2, x1, y2]]
        parts: Any = mask.frPyObjects(polygons, *size)
        encoded.append(mask.merge(parts)["counts"])
    return tuple(encoded)
