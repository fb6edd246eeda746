"""Hue, saturation and value of 8-bit pictures, in whole numbers of 16 bits and without a division.

OpenCV and Pillow convert to HSV and back. Here nothing is divided: of a pixel with the strongest
colour V and the weakest m, the hue is kept as a share of the circle times 6 (V - m), and a colour
that stands at some hue is a piecewise linear function of that.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

Plane = NDArray[np.int16]
_ONE, _BITS = 128, 7  # 255 * 128 is the largest product that 16 bits hold with a sign
_ROWS = 64  # at a time: what they need stays in the processor's cache, twice as fast
_MOST = 255


def adjust(image: torch.Tensor, turn: float, saturation: float, value: float) -> torch.Tensor:
    """The image (3, H, W) uint8 with hues turned, saturation and value multiplied, as HSV has it.

    Turns come within two levels of what floating-point numbers give. A colour whose saturation
    would be more than full is cut colour by colour, and a value above 255 becomes 255 with the
    saturation as it is.

    Args:
        image: The image.
        turn: A share of the colour circle.
        saturation: A factor from 0 to 2.
        value: A factor from 0 to 2.
    """
    result = torch.empty(image.shape, dtype=torch.uint8)
    source, target = image.numpy(), result.numpy()
    for top in range(0, image.shape[1], _ROWS):
        colours = [plane.astype(np.int16) for plane in source[:, top : top + _ROWS]]
        if turn % 1 != 0:
            colours = _turned(colours, turn % 1)
        if saturation != 1 or value != 1:
            colours = _multiplied(colours, saturation, value)
        for plane, colour in zip(target, colours, strict=True):
            plane[top : top + _ROWS] = colour
    return result


def _turned(colours: list[Plane], turn: float) -> list[Plane]:
    """Red, green and blue after a turn of 0 to 1."""
    red, green, blue = colours
    strongest = np.maximum(np.maximum(red, green), blue)
    weakest = np.minimum(np.minimum(red, green), blue)
    chroma = strongest - weakest
    double, sixfold = 2 * chroma, 6 * chroma
    # the hue times 6 chroma: from -1 to 5 chroma
    hue = red - green + 2 * double
    np.copyto(hue, blue - red + double, where=green == strongest)
    np.copyto(hue, green - blue, where=red == strongest)
    sixths, rest = divmod(6 * turn, 1)
    hue += chroma * np.int16(sixths) + (chroma * np.int16(round(rest * _ONE)) >> _BITS)
    hue += sixfold * (hue < 0)
    hue -= sixfold * (hue >= sixfold)
    third = double + chroma
    heights = (
        np.abs(hue - third) - chroma,
        double - np.abs(hue - double),
        double - np.abs(hue - 2 * double),
    )
    return [weakest + np.minimum(np.maximum(height, 0), chroma) for height in heights]


def _multiplied(colours: list[Plane], saturation: float, value: float) -> list[Plane]:
    """Red, green and blue with saturation and value multiplied."""
    wide = [colour.astype(np.uint16) for colour in colours]
    strongest = np.maximum(np.maximum(*wide[:2]), wide[2])
    levels = np.arange(1, _MOST + 2)  # no division by the level 0, which stays 0 anyway
    share = np.minimum(value, _MOST / np.maximum(levels - 1, 1)) * _ONE
    shares = np.floor(share).astype(np.uint16)
    factor = shares[strongest] if value > 1 else np.uint16(round(value * _ONE))
    grey = np.uint16(math.floor(saturation * _ONE + 0.5))
    found = []
    for colour in wide:
        less = np.minimum((strongest - colour) * grey >> _BITS, strongest)
        found.append((((strongest - less) * factor + _ONE // 2) >> _BITS).astype(np.int16))
    return found
