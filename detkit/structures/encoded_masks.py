"""Masks of detections as runs of pixels, COCO's compressed encoding (RLE)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from detkit.errors import UserError
from detkit.structures.mask_window import MaskWindow


class EncodedMasks(NamedTuple):
    """The masks of N detections as runs of pixels, a tenth of the memory of their maps.

    Attributes:
        runs: The pixels of each detection in COCO's compressed encoding.
        size: (height, width) of the image.
    """

    runs: tuple[bytes, ...]
    size: tuple[int, int]

    def select(self, keep: Any) -> EncodedMasks:
        """The masks selected by a mask or by positions."""
        positions = np.arange(len(self.runs))[np.asarray(keep)]
        return self._replace(runs=tuple(self.runs[position] for position in positions.tolist()))

    def encoded(self) -> EncodedMasks:
        """These masks."""
        return self

    def window(self, position: int) -> MaskWindow:
        """The pixels of a detection."""
        encoded: Any = {"counts": self.runs[position], "size": list(self.size)}
        return MaskWindow.around(_coco_masks().decode(encoded).astype(np.bool_))

    def rle(self) -> list[dict[str, Any]]:
        """A segmentation of a COCO results file for each detection."""
        size = list(self.size)
        return [{"size": size, "counts": runs.decode("ascii")} for runs in self.runs]


def encode_windows(windows: Iterable[MaskWindow], size: tuple[int, int]) -> EncodedMasks:
    """The pixels of the objects of an image of a size (height, width) as runs."""
    return EncodedMasks(tuple(map(encode_window, windows)), size)


def encode_window(window: MaskWindow) -> bytes:
    """The pixels of an object as runs, equal to what pycocotools makes of the whole image.

    Only the columns of the window are read. An evaluation encodes a hundred detections per image;
    encoding whole images of 800 x 1333 pixels takes it more than twice as long.
    """
    height, width = window.size
    rows, columns = window.bitmap.shape
    strip = np.zeros((columns, height), np.int8)
    strip[:, window.top : window.top + rows] = window.bitmap.T
    changes = np.flatnonzero(np.diff(strip.ravel(), prepend=0, append=0))
    ends = np.concatenate([[0], window.left * height + changes, [height * width]])
    counts = np.diff(ends).tolist()
    if len(counts) > 1 and counts[-1] == 0:  # the last pixel of the image is set
        counts.pop()
    runs_of_image = {"counts": counts, "size": [height, width]}
    encoded: Any = _coco_masks().frPyObjects(runs_of_image, height, width)
    runs: bytes = encoded["counts"]
    return runs


def _coco_masks() -> Any:
    """The module of pycocotools, which an environment for exported files may lack.

    Raises:
        UserError: It is not installed.
    """
    try:
        from pycocotools import mask
    except ImportError as error:
        raise UserError(
            "masks as runs of pixels (RLE) need the package pycocotools, which is not installed: "
            "pip install pycocotools"
        ) from error
    return mask
