"""Paint the pixels of objects into a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter

from detkit.visualization.colours import Colour

if TYPE_CHECKING:  # exported detectors draw without torch
    from detkit.structures.mask_window import MaskWindow

_FILL, _BORDER = 90, 235  # opacities out of 255


def paint_mask(
    picture: Image.Image, window: MaskWindow, colour: Colour, *, factor: int, width: int
) -> None:
    """Fill an object with a translucent colour and trace its border, in place.

    Args:
        picture: The enlarged image.
        window: The pixels of the object in the image.
        colour: The colour of both.
        factor: How many times as large as the image the picture is.
        width: The width of the border, inside the object.
    """
    if not window.bitmap.any():
        return
    margin = np.pad(window.bitmap.astype(np.uint8) * 255, 1)  # so that the border is closed
    solid = Image.fromarray(margin).resize(
        (margin.shape[1] * factor, margin.shape[0] * factor), Image.Resampling.NEAREST
    )
    inner = solid.filter(ImageFilter.MinFilter(2 * width + 1))
    opacity = np.where(np.asarray(inner) > 0, _FILL, _BORDER) * (np.asarray(solid) > 0)
    position = ((window.left - 1) * factor, (window.top - 1) * factor)
    picture.paste(colour, position, Image.fromarray(opacity.astype(np.uint8)))
