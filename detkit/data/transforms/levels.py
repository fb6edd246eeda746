"""Colours of 8-bit pictures changed in whole numbers of 16 bits, and hues without a division.

OpenCV and Pillow convert to HSV and back. Here nothing is divided: of a pixel with the strongest
colour V and the weakest m, the hue is kept as a share of the circle times 6 (V - m), and a colour
that stands at some hue is a piecewise linear function of that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

Plane = NDArray[np.int16]
Step = Callable[[list[Plane]], list[Plane]]
_ONE, _BITS = 128, 7  # 255 * 128 is the largest product that 16 bits hold with a sign
_ROWS = 64  # at a time: what they need stays in the processor's cache, twice as fast
_SIGN = 15  # the bit of the sign
_HALF = 64  # so that twice as much fits
_MOST = 255
_SAME = np.arange(_MOST + 1, dtype=np.float64)
GREY = (0.299, 0.587, 0.114)  # how bright the colours are to the eye
_WEIGHTS = [np.int16(round(share * _ONE)) for share in GREY]  # their sum is _ONE


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
    steps: list[Step] = []
    if turn % 1 != 0:
        steps.append(partial(_turned, turn=turn % 1))
    if saturation != 1 or value != 1:
        steps.append(partial(_multiplied, saturation=saturation, value=value))
    return _changed(image, _SAME, steps)


def jitter(
    image: torch.Tensor, brightness: float, contrast: float, saturation: float, turn: float
) -> torch.Tensor:
    """The image (3, H, W) uint8 after four adjustments in the order and manner of torchvision's.

    Within three levels of it where hues stay, as it cuts fractions off at each step. The mean that
    contrast keeps is that of one pixel in 16.

    Args:
        image: The image.
        brightness: A factor.
        contrast: A factor of the distance to the mean of all pixels.
        saturation: A factor from 0 to 2 of the distance to the pixel's own grey.
        turn: A share of the colour circle.
    """
    table = _SAME if brightness == 1 else (np.arange(_MOST + 1) * brightness).clip(0, _MOST)
    if contrast != 1:
        some = table[image[:, ::4, ::4].numpy()].mean(axis=(1, 2))
        mean = float(some @ np.array(GREY))
        table = (table * contrast + mean * (1 - contrast)).clip(0, _MOST)
    steps: list[Step] = []
    if saturation != 1:
        steps.append(partial(_faded, saturation=saturation))
    if turn % 1 != 0:
        steps.append(partial(_turned, turn=turn % 1))
    return _changed(image, table, steps)


def _changed(
    image: torch.Tensor, table: NDArray[np.float64], steps: Sequence[Step]
) -> torch.Tensor:
    """The image after a table of its levels, and some steps."""
    result = torch.empty(image.shape, dtype=torch.uint8)
    source, target = image.numpy(), result.numpy()
    levels = None if table is _SAME else table.round().astype(np.int16)
    for top in range(0, image.shape[1], _ROWS):
        rows = source[:, top : top + _ROWS]
        colours = [
            p.astype(np.int16) if levels is None else levels.take(p, mode="clip") for p in rows
        ]
        for step in steps:
            colours = step(colours)
        for plane, colour in zip(target, colours, strict=True):
            plane[top : top + _ROWS] = colour
    return result


def _faded(colours: list[Plane], saturation: float) -> list[Plane]:
    """Red, green and blue with their distance to grey multiplied."""
    factor = np.int16(round(saturation * _HALF))
    grey = sum((c * w for c, w in zip(colours, _WEIGHTS, strict=True)), start=_WEIGHTS[2]) >> _BITS
    grey *= _HALF - factor
    grey += _HALF // 2
    moved = [(colour * factor + grey) >> (_BITS - 1) for colour in colours]
    if factor <= _HALF:  # they stay between the grey and what they were
        return moved
    return [np.minimum(np.maximum(colour, 0), _MOST) for colour in moved]


def _turned(colours: list[Plane], turn: float) -> list[Plane]:
    """Red, green and blue after a turn of 0 to 1."""
    red, green, blue = colours
    strongest = np.maximum(np.maximum(red, green), blue)
    weakest = np.minimum(np.minimum(red, green), blue)
    chroma = strongest - weakest
    double = chroma + chroma
    fourfold, sixfold = double + double, double + double + double
    # the hue times 6 chroma: from -1 to 5 chroma
    hue = red - green + fourfold
    np.copyto(hue, blue - red + double, where=green == strongest)
    np.copyto(hue, green - blue, where=red == strongest)
    sixths, rest = divmod(6 * turn, 1)
    hue += chroma * np.int16(round(rest * _ONE)) >> _BITS
    hue += chroma * np.int16(sixths)
    hue += (hue >> _SIGN) & sixfold  # a shift by 15 is -1 where it is negative
    hue -= (sixfold - 1 - hue >> _SIGN) & sixfold
    found = []
    for middle, width in ((double + chroma, None), (double, double), (fourfold, double)):
        height = np.abs(hue - middle)
        height = height - chroma if width is None else width - height
        np.minimum(np.maximum(height, 0, out=height), chroma, out=height)
        height += weakest
        found.append(height)
    return found


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
