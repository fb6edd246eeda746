"""The pixels of one object, cut out of its image; imports no torch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detkit.errors import UserError
from detkit.structures.outlines import Bitmap

_CORNERS = 3  # fewer points enclose nothing


class MaskWindow(NamedTuple):
    """A part of an image that holds all pixels of an object.

    Attributes:
        left: First column of the window in the image.
        top: First row of the window in the image.
        bitmap: (h, w) the pixels of the object in the window.
        size: (height, width) of the image.
    """

    left: int
    top: int
    bitmap: Bitmap
    size: tuple[int, int]

    @staticmethod
    def around(bitmap: Bitmap) -> MaskWindow:
        """The smallest window around the pixels of an object in its image (H, W)."""
        rows, columns = (np.flatnonzero(bitmap.any(axis=axis)) for axis in (1, 0))
        size = (bitmap.shape[0], bitmap.shape[1])
        if not len(rows):
            return MaskWindow(0, 0, bitmap[:0, :0], size)
        top, left = int(rows[0]), int(columns[0])
        return MaskWindow(left, top, bitmap[top : rows[-1] + 1, left : columns[-1] + 1], size)

    def whole(self) -> Bitmap:
        """(H, W) the pixels of the object in the image."""
        canvas = np.zeros(self.size, np.bool_)
        height, width = self.bitmap.shape
        canvas[self.top : self.top + height, self.left : self.left + width] = self.bitmap
        return canvas

    def polygons(self, tolerance: float) -> list[NDArray[np.float32]]:
        """The outer borders (K, 2) of the parts of the object, x and y in pixels; holes are filled.

        Each border runs between the centres of the pixels inside and those outside, so with a
        tolerance of 0 the polygons hold the centres of exactly these pixels.

        Args:
            tolerance: How far a border may move, in pixels, to need fewer points.

        Raises:
            UserError: OpenCV is not installed, which an environment for exported files may lack.
        """
        try:
            import cv2  # takes a tenth of a second, which only users of polygons should pay
        except ImportError as error:
            raise UserError(
                "polygons of masks need OpenCV, which is not installed: pip install "
                "opencv-python-headless"
            ) from error

        # With four pixels for each, the centres of border pixels are a quarter inside the border.
        fine = self.bitmap.repeat(2, axis=0).repeat(2, axis=1).astype(np.uint8)
        contours, _ = cv2.findContours(fine, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        origin = np.array([self.left, self.top])
        polygons = []
        for contour in contours:
            points = ((contour[:, 0] + 0.5) / 2 + origin).astype(np.float32)
            fewer = cv2.approxPolyDP(points[:, None], tolerance, closed=True)[:, 0]
            polygons.append(fewer if len(fewer) >= _CORNERS else points)
        return polygons
