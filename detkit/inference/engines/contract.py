"""The contract of an engine: host arrays in, host arrays out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from detkit.structures.arrays import DetectionArrays
from detkit.structures.exported import MASKS, RAW_OUTPUTS, ExportedModel
from detkit.structures.mask_arrays import MaskArrays


class _Columns(NamedTuple):
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    counts: NDArray[np.int64]


class PaddedArrays(_Columns):
    """The detections of B images, best first: `PaddedDetections` as NumPy arrays.

    Attributes:
        boxes: (B, D, 4) float32 absolute xyxy; zeros in the padding.
        scores: (B, D) float32 in 0..1; 0 in the padding.
        labels: (B, D) int64 in 0..C-1; 0 in the padding.
        counts: (B,) int64 number of detections of each image.
        masks: (B, D, S, S) float32 mask probabilities on each box; None for boxes alone.
    """

    masks: NDArray[np.float32] | None = None  # no column, so that detections unpack to four

    def with_masks(self, masks: NDArray[np.float32] | None) -> PaddedArrays:
        """The same detections with masks."""
        detections = PaddedArrays(*self)
        detections.masks = masks
        return detections

    def split(self, size: tuple[int, int]) -> Iterator[DetectionArrays]:
        """The detections of each image.

        Args:
            size: (height, width) of the images, for masks.
        """
        for image, count in enumerate(self.counts.tolist()):
            rows = image, slice(count)
            boxes = self.boxes[rows]
            detections = DetectionArrays(boxes, self.scores[rows], self.labels[rows])
            if self.masks is not None:
                detections = detections.with_masks(MaskArrays(self.masks[rows], boxes, size))
            yield detections


class RawArrays(NamedTuple):
    """Predictions before post-processing, of a file that was exported with `nms=false`.

    Attributes:
        boxes: (B, P, 4) float32 absolute xyxy.
        scores: (B, P, C) float32 in 0..1.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]


class Engine(Protocol):
    """Runs one exported file.

    Attributes:
        model: The file's metadata.
        device: Where it runs: `cpu`, `cuda` or `cuda:1`.
        description: Engine, version, device and threads, for one line of output.
    """

    model: ExportedModel
    device: str
    description: str

    def __call__(self, images: NDArray[np.float32]) -> PaddedArrays | RawArrays:
        """Run the graph once.

        Args:
            images: (B, 3, H, W) float32 RGB from 0 to 255, of the size and batch that the file
                takes.
        """
        ...


def arrays_of(outputs: dict[str, NDArray[np.generic]], nms: bool) -> PaddedArrays | RawArrays:
    """A graph's outputs by name, in the types of the contract."""
    if not nms:
        return RawArrays(*(outputs[name].astype(np.float32, copy=False) for name in RAW_OUTPUTS))
    masks = outputs.get(MASKS)
    return PaddedArrays(
        boxes=outputs["boxes"].astype(np.float32, copy=False),
        scores=outputs["scores"].astype(np.float32, copy=False),
        labels=outputs["labels"].astype(np.int64, copy=False),
        counts=outputs["counts"].astype(np.int64, copy=False),
    ).with_masks(None if masks is None else masks.astype(np.float32, copy=False))
