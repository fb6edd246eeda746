"""Masks of detections as NumPy arrays, pasted without PyTorch."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detkit.structures.encoded_masks import EncodedMasks, encode_windows
from detkit.structures.mask_placement import MaskPlacement
from detkit.structures.mask_window import MaskWindow

THRESHOLD = 0.5  # the probability of a pixel that belongs to an object


class MaskArrays(NamedTuple):
    """The masks of N detections, small maps: `DetectionMasks` without PyTorch.

    Attributes:
        probabilities: (N, S, S) float32 in 0..1, on the whole of each box.
        boxes: (N, 4) float32 xyxy of the maps; unlike boxes of detections, not clipped.
        size: (height, width) of the image that the boxes are in.
    """

    probabilities: NDArray[np.float32]
    boxes: NDArray[np.float32]
    size: tuple[int, int]

    def select(self, keep: NDArray[Any]) -> MaskArrays:
        """The masks selected by a mask or by positions."""
        return self._replace(probabilities=self.probabilities[keep], boxes=self.boxes[keep])

    def encoded(self) -> EncodedMasks:
        """The pixels of each detection as runs, which take a tenth of the memory."""
        return encode_windows(map(self.window, range(len(self.boxes))), self.size)

    def window(self, position: int) -> MaskWindow:
        """The pixels of a detection."""
        values = self.probabilities[position]
        placement = MaskPlacement.of(self.boxes[position], len(values), self.size)
        if placement is None:
            return MaskWindow(0, 0, np.zeros((0, 0), np.bool_), self.size)
        pixels = resized_map(values, placement) > THRESHOLD
        return MaskWindow(placement.columns.start, placement.rows.start, pixels, self.size)


def resized_map(values: NDArray[np.float32], placement: MaskPlacement) -> NDArray[np.float32]:
    """The part of a resized map (S, S) that is in the image; equal to `DetectionMasks` to 1e-6.

    Bilinear, with the positions of PyTorch's `interpolate`. Written in NumPy, as an environment for
    exported files has no OpenCV.
    """
    padded = np.pad(values, 1)
    rows, columns = placement.inside
    lower, upper, share = _neighbours(columns, placement.width, len(padded))
    across = padded[:, lower] * (1 - share) + padded[:, upper] * share  # (S + 2, w)
    lower, upper, share = _neighbours(rows, placement.height, len(padded))
    return np.asarray(across[lower] * (1 - share)[:, None] + across[upper] * share[:, None])


def _neighbours(
    pixels: slice, length: int, side: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """The cells on both sides of each pixel's centre, and the share of the second.

    Args:
        pixels: Pixels of the resized map along an axis.
        length: All pixels of the resized map along the axis.
        side: Cells of the map along the axis.
    """
    centres = np.arange(pixels.start, pixels.stop, dtype=np.float32) + np.float32(0.5)
    position = centres * (np.float32(side) / np.float32(length)) - np.float32(0.5)
    position = position.clip(0)
    lower = position.astype(np.int64)
    return lower, np.minimum(lower + 1, side - 1), position - lower.astype(np.float32)
