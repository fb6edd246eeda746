"""Ways to propose regions of an image file: a grid of windows, and selective search."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.data.image_decoding import preview
from detkit.data.opencv import cv2
from detkit.errors import UserError
from detkit.ops.grid_boxes import grid_boxes
from detkit.pixels.image_decoding import read_header

Boxes = NDArray[np.float32]  # (R, 4) in pixels of the image, best first
Propose = Callable[[Path], Boxes]
_SMALLEST = 1.0  # pixels, of a side


def grid_windows() -> Propose:
    """A method that proposes the default windows of proposer 'grid'."""
    shares = grid_boxes().numpy()

    def propose(path: Path) -> Boxes:
        height, width = read_header(path).size
        return shares * np.array([width, height, width, height], np.float32)

    return propose


def selective_search(*, long_side: int | None, quality: bool) -> Propose:
    """A method that merges similar neighbouring areas, by OpenCV.

    Paper: Selective Search for Object Recognition (Uijlings et al., 2013),
    https://doi.org/10.1007/s11263-013-0620-5

    Args:
        long_side: Larger images are searched at this size; None searches all as they are.
        quality: More regions in three times the time.

    Raises:
        UserError: OpenCV comes without its contrib modules.
    """
    contrib: Any = getattr(cv2, "ximgproc", None)
    if contrib is None:
        raise UserError(
            "method=selective_search needs OpenCV's contrib modules: run pip install "
            "'detkit[proposals]', or use method=grid, which needs nothing."
        )

    def propose(path: Path) -> Boxes:
        pixels = preview(path).permute(1, 2, 0).numpy()[..., ::-1]  # blue first
        factor = 1.0 if long_side is None else min(1.0, long_side / max(pixels.shape[:2]))
        if factor < 1:
            pixels = cv2.resize(
                np.ascontiguousarray(pixels),
                None,
                fx=factor,
                fy=factor,
                interpolation=cv2.INTER_AREA,
            )
        cv2.setRNGSeed(0)  # of this thread; part of the order is drawn
        search = contrib.segmentation.createSelectiveSearchSegmentation()
        search.setBaseImage(np.ascontiguousarray(pixels))
        if quality:
            search.switchToSelectiveSearchQuality()
        else:
            search.switchToSelectiveSearchFast()
        corners, sides = np.split(search.process().astype(np.float32), 2, axis=1)
        boxes = np.concatenate([corners, corners + sides], axis=1) / factor
        return boxes.astype(np.float32)

    return propose


def usable(boxes: Boxes, size: tuple[int, int], most: int) -> Boxes:
    """The first boxes that have an area inside an image of (height, width)."""
    limit = np.array([size[1], size[0]] * 2, np.float32)
    clipped = np.clip(boxes.reshape(-1, 4), 0, limit)
    has_area = ((clipped[:, 2:] - clipped[:, :2]) >= _SMALLEST).all(axis=1)
    first: Boxes = clipped[has_area][:most].astype(np.float32)
    return first
