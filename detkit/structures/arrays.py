"""The detections of an image as NumPy arrays; imports no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detkit.structures.mask_arrays import MaskArrays

if TYPE_CHECKING:  # exported files need no torch
    from detkit.structures.masks import Masks


class _Columns(NamedTuple):
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]


class DetectionArrays(_Columns):
    """The detections of one image, best first: `Detections` without PyTorch.

    Attributes:
        boxes: (N, 4) float32 absolute xyxy.
        scores: (N,) float32 in 0..1.
        labels: (N,) int64 in 0..C-1.
        masks: The masks of the detections; None for boxes alone.
    """

    masks: Masks | None = None  # no column, so that detections unpack to three

    def with_masks(self, masks: Masks | None) -> DetectionArrays:
        """The same detections with masks."""
        detections = DetectionArrays(*self)
        detections.masks = masks
        return detections

    def select(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> DetectionArrays:
        """The detections selected by a mask or by positions."""
        masks = None if self.masks is None else self.masks.select(keep)
        columns = self.boxes[keep], self.scores[keep], self.labels[keep]
        return DetectionArrays(*columns).with_masks(masks)

    def to_original(
        self, to_image: NDArray[np.float64], original_size: tuple[int, int]
    ) -> DetectionArrays:
        """Map boxes back to the original image and clip them to it; masks stay whole.

        Args:
            to_image: (3, 3) map from the original image to the detector's input, which moves and
                scales.
            original_size: (height, width) of the original image.
        """
        back = np.linalg.inv(to_image).astype(np.float32)
        factors, shift = np.tile(back.diagonal()[:2], 2), np.tile(back[:2, 2], 2)
        limit = np.tile(np.array(original_size[::-1], np.float32), 2)
        boxes = self.boxes * factors + shift
        original = self._replace(boxes=np.clip(boxes, 0, limit))
        if not isinstance(self.masks, MaskArrays):
            return original
        return original.with_masks(self.masks._replace(boxes=boxes, size=original_size))
