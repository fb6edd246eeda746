"""Masks of objects in a batch, and of detections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate, pad

from detkit.structures.encoded_masks import EncodedMasks, encode_windows
from detkit.structures.images import Target
from detkit.structures.mask_arrays import THRESHOLD, MaskArrays
from detkit.structures.mask_placement import MaskPlacement
from detkit.structures.mask_window import MaskWindow
from detkit.structures.outlines import Outlines

_BITS = 8


class PaddedMasks(NamedTuple):
    """The bitmaps of the T objects of a batch, a bit for each pixel.

    Bitmaps as large as the images let torchvision's RoIAlign cut the targets. Packed, those of 16
    images of 800 x 1333 pixels with 7 objects each take 15 MB, not 120 MB, on the way from the
    workers to the device. Objects follow each other without padding, image by image.

    Attributes:
        bits: (T, H, ceil(W / 8)) uint8, the highest bit first.
        has_mask: (B, N) bool, whether an object has a mask.
        counts: Number of objects of each image, known to the host.
        sizes: (height, width) of each image without padding, known to the host.
    """

    bits: Tensor
    has_mask: Tensor
    counts: tuple[int, ...]
    sizes: tuple[tuple[int, int], ...]

    @staticmethod
    def of(targets: Sequence[Target], sizes: Sequence[tuple[int, int]]) -> PaddedMasks:
        """The bitmaps of each image's objects, on canvases that hold the largest image."""
        outlines = [target.outlines or Outlines.of([()] * len(target)) for target in targets]
        counts = tuple(map(len, outlines))
        height, width = map(max, zip(*sizes, strict=True))
        bits = np.zeros((sum(counts), height, -(-width // _BITS)), np.uint8)
        has_mask = np.zeros((len(counts), max(1, *counts)), np.bool_)
        row = 0
        for image, objects in enumerate(outlines):
            has_mask[image, : len(objects)] = objects.has_mask
            for position in range(len(objects)):
                bits[row] = np.packbits(objects.bitmap(position, (height, width)), axis=1)
                row += 1
        return PaddedMasks(torch.from_numpy(bits), torch.from_numpy(has_mask), counts, tuple(sizes))

    def bitmaps(self, image: int) -> Tensor:
        """(N, height, width) float32 bitmaps of the objects of an image, without its padding."""
        first = sum(self.counts[:image])
        packed = self.bits[first : first + self.counts[image]]
        shifts = torch.arange(_BITS - 1, -1, -1, device=packed.device, dtype=torch.uint8)
        height, width = self.sizes[image]
        bitmaps = ((packed[..., None] >> shifts) & 1).flatten(2)
        return bitmaps[:, :height, :width].float()

    def images(self, start: int, stop: int) -> PaddedMasks:
        """The masks of the images start..stop-1."""
        counts = self.counts[start:stop]
        first = sum(self.counts[:start])
        has_mask = self.has_mask[start:stop, : max(1, *counts)]
        bits = self.bits[first : first + sum(counts)]
        return PaddedMasks(bits, has_mask, counts, self.sizes[start:stop])

    def each(self, change: Callable[[Tensor], Tensor]) -> PaddedMasks:
        """The same masks with changed tensors, such as on another device."""
        return self._replace(bits=change(self.bits), has_mask=change(self.has_mask))


class DetectionMasks(NamedTuple):
    """The masks of N detections, small maps that are pasted into the image when needed.

    Attributes:
        probabilities: (N, S, S) float32 in 0..1, on the whole of each box.
        boxes: (N, 4) float32 xyxy of the maps, in original pixels; unlike boxes of detections, not
            clipped to the image.
        size: (height, width) of the original image.
    """

    probabilities: Tensor
    boxes: Tensor
    size: tuple[int, int]

    @staticmethod
    def of(masks: MaskArrays) -> DetectionMasks:
        """The same masks as tensors."""
        arrays = (masks.probabilities, masks.boxes)
        maps, boxes = (torch.from_numpy(array.astype(np.float32)) for array in arrays)
        return DetectionMasks(maps, boxes, masks.size)

    def select(self, keep: Tensor | NDArray[Any]) -> DetectionMasks:
        """The masks selected by a mask or by positions."""
        return self._replace(probabilities=self.probabilities[keep], boxes=self.boxes[keep])

    def encoded(self) -> EncodedMasks:
        """The pixels of each detection as runs, which take a tenth of the memory."""
        return encode_windows(map(self.window, range(len(self.boxes))), self.size)

    def window(self, position: int) -> MaskWindow:
        """The pixels of a detection."""
        rows, columns, values = self._part(position)
        return MaskWindow(columns.start, rows.start, (values > THRESHOLD).numpy(), self.size)

    def bitmap(self, position: int) -> Tensor:
        """(H, W) bool, the pixels of a detection."""
        return self.pasted(position) > THRESHOLD

    def pasted(self, position: int) -> Tensor:
        """(H, W) float32 probabilities in the image, resized to whole pixels as torchvision does.

        The map gets a border of zeros, and the box grows by as much, so that a mask ends smoothly.
        """
        rows, columns, values = self._part(position)
        canvas = torch.zeros(self.size)
        canvas[rows, columns] = values
        return canvas

    def _part(self, position: int) -> tuple[slice, slice, Tensor]:
        """The rows and columns of the image that a map covers, and its probabilities there."""
        side = self.probabilities.shape[-1]
        placement = MaskPlacement.of(self.boxes[position].cpu().numpy(), side, self.size)
        if placement is None:
            return slice(0, 0), slice(0, 0), torch.zeros(0, 0)
        with_border = pad(self.probabilities[position].cpu(), (1, 1, 1, 1))[None, None]
        size = (placement.height, placement.width)
        resized = interpolate(with_border, size=size, mode="bilinear", align_corners=False)[0, 0]
        return placement.rows, placement.columns, resized[placement.inside]


Masks = DetectionMasks | MaskArrays | EncodedMasks
