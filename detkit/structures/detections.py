"""The detections of an image."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from detkit.structures.arrays import DetectionArrays
from detkit.structures.mask_arrays import MaskArrays
from detkit.structures.masks import DetectionMasks, Masks


class _Columns(NamedTuple):
    boxes: Tensor
    scores: Tensor
    labels: Tensor


class Detections(_Columns):
    """The detections of one image, best first.

    Attributes:
        boxes: (N, 4) float32 absolute xyxy.
        scores: (N,) float32 in 0..1.
        labels: (N,) int64 in 0..C-1.
        masks: The masks of the detections; None for boxes alone.
    """

    masks: Masks | None = None  # no column, so that detections unpack to three

    def with_masks(self, masks: Masks | None) -> Detections:
        """The same detections with masks."""
        detections = Detections(*self)
        detections.masks = masks
        return detections

    @staticmethod
    def of(arrays: DetectionArrays) -> Detections:
        """The same detections as tensors."""
        boxes, scores = (torch.from_numpy(a.astype(np.float32)) for a in arrays[:2])
        labels = torch.from_numpy(arrays.labels.astype(np.int64))
        masks = arrays.masks
        masks = DetectionMasks.of(masks) if isinstance(masks, MaskArrays) else masks
        return Detections(boxes, scores, labels).with_masks(masks)

    @staticmethod
    def empty() -> Detections:
        """No detections."""
        return Detections(torch.zeros((0, 4)), torch.zeros(0), torch.zeros(0, dtype=torch.int64))

    def arrays(self) -> DetectionArrays:
        """The same detections, which are on the CPU, as NumPy arrays."""
        return DetectionArrays(*(values.numpy() for values in self)).with_masks(self.masks)

    def to(self, device: torch.device | str) -> Detections:
        """The same detections on a device."""
        return Detections(*(value.to(device) for value in self)).with_masks(self.masks)

    def select(self, keep: Tensor) -> Detections:
        """The detections selected by a mask or by positions."""
        masks = None if self.masks is None else self.masks.select(keep.cpu().numpy())
        return Detections(*(value[keep] for value in self)).with_masks(masks)

    def encoded(self) -> Detections:
        """The same detections with their masks, if any, as runs of pixels."""
        return self if self.masks is None else self.with_masks(self.masks.encoded())

    def in_picture(self, move: Callable[[Tensor], Tensor], size: tuple[int, int]) -> Detections:
        """The same detections in a resized picture of the image.

        Args:
            move: Maps boxes of the image to boxes of the picture.
            size: (height, width) of the picture.
        """
        moved = self._replace(boxes=move(self.boxes))
        if not isinstance(self.masks, DetectionMasks):  # runs of pixels cannot be resized
            return moved
        return moved.with_masks(self.masks._replace(boxes=move(self.masks.boxes), size=size))

    def to_original(self, to_image: Tensor, original_size: tuple[int, int]) -> Detections:
        """Map boxes back to the original image and clip them to it; masks stay whole.

        Args:
            to_image: (3, 3) projective map from the original image to the detector's input; if it
                rotates, the result is the upright box around the corners.
            original_size: (height, width) of the original image.
        """
        size = torch.tensor(original_size, device=self.boxes.device)
        original = self._replace(boxes=boxes_in_original(self.boxes, to_image, size))
        if not isinstance(self.masks, DetectionMasks):
            return original
        boxes = unclipped_boxes(self.masks.boxes, to_image)
        return original.with_masks(self.masks._replace(boxes=boxes, size=original_size))


def boxes_in_original(boxes: Tensor, to_image: Tensor, original_sizes: Tensor) -> Tensor:
    """Map boxes (..., N, 4) back to their original images and clip them; see `to_original`.

    Args:
        boxes: Of one image, or of B.
        to_image: (..., 3, 3) projective map of each image.
        original_sizes: (..., 2) height and width of each original image.
    """
    limit = original_sizes.flip(-1).to(boxes)[..., None, :]
    moved = unclipped_boxes(boxes, to_image)
    low, high = moved[..., :2], moved[..., 2:]
    return torch.cat([low.clamp(min=0).minimum(limit), high.clamp(min=0).minimum(limit)], dim=-1)


def unclipped_boxes(boxes: Tensor, to_image: Tensor) -> Tensor:
    """Map boxes (..., N, 4) back to their original images; see `boxes_in_original`."""
    back = torch.linalg.inv(to_image).to(boxes)[..., None, None, :, :]
    x1, y1, x2, y2 = boxes.unbind(dim=-1)
    x, y = torch.stack([x1, x2, x2, x1], dim=-1), torch.stack([y1, y1, y2, y2], dim=-1)
    # Not a matrix product, whose rounding may depend on the number of images and boxes.
    moved = x[..., None] * back[..., 0] + y[..., None] * back[..., 1] + back[..., 2]
    corners = moved[..., :2] / moved[..., 2:]  # (..., N, 4, 2)
    return torch.cat([corners.amin(dim=-2), corners.amax(dim=-2)], dim=-1)
