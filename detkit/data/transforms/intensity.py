"""Change the colours of 8-bit images in 16-bit integers, and hues without a division.

OpenCV and Pillow convert to HSV and back. Here nothing is divided: with the strongest colour of a
pixel V and the weakest m, a hue that turns by a sixth of the circle or less moves each colour
towards V or m by that share of V - m, as a colour is a piecewise linear function of the hue. Bounds
are arrays here: NumPy compares with a plain number six times as slowly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Plane = NDArray[np.int16]
Step = Callable[[list[Plane]], list[Plane]]
_ONE, _BITS = 128, 7  # 255 * 128 is the largest product that 16 bits hold with a sign
_AT_ONCE = 2**16  # pixels; what they need stays in the processor's cache, three times as fast
_SIGN = 15  # the bit of the sign
_HALF = 64  # so that twice as much fits
_SAMPLE = 2**12  # pixels that tell the mean
_MOST = 255
_SURELY_LESS = 1 - 1 / _ONE
_LEVELS = np.arange(_MOST + 1)
_SAME = _LEVELS.astype(np.float64)
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

    torchvision truncates after each step, so the results differ: without a hue change by at most
    four levels for factors from 0.8 to 1.2, and by five for factors from 0 to 2. The mean that
    contrast preserves is that of about 4,096 evenly spaced pixels; torchvision uses all pixels.

    Args:
        image: The image.
        brightness: A factor.
        contrast: A factor of the distance to the mean of all pixels.
        saturation: A factor from 0 to 2 of the distance to the pixel's own grey.
        turn: A share of the colour circle.
    """
    table = _SAME if brightness == 1 else (_LEVELS * brightness).clip(0, _MOST)
    if contrast != 1:
        apart = max(math.isqrt(image[0].numel() // _SAMPLE), 1)
        some = image[:, ::apart, ::apart].flatten(1).numpy()
        counts = [np.bincount(levels, minlength=_MOST + 1) for levels in some]
        mean = float(np.array(GREY) @ (np.stack(counts) @ table)) / max(some.shape[1], 1)
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
    step_of_rows = max(_AT_ONCE // max(image.shape[2], 1), 1)
    for top in range(0, image.shape[1], step_of_rows):
        rows = source[:, top : top + step_of_rows]
        colours = [p.astype(np.int16) if table is _SAME else _looked_up(p, table) for p in rows]
        for step in steps:
            colours = step(colours)
        for plane, colour in zip(target, colours, strict=True):
            plane[top : top + step_of_rows] = colour
    return result


def _looked_up(plane: NDArray[Any], table: NDArray[np.float64]) -> Plane:
    """Map each level through a table of 256 numbers from 0 to 255."""
    entries = table.round().astype(np.uint8).tobytes()
    # twice as fast as NumPy's own indexing
    values = plane.astype(np.uint8, copy=False).tobytes().translate(entries)
    return np.frombuffer(values, np.uint8).reshape(plane.shape).astype(np.int16)


def _faded(colours: list[Plane], saturation: float) -> list[Plane]:
    """Red, green and blue with their distance to grey multiplied."""
    factor = np.int16(round(saturation * _HALF))
    grey = sum((c * w for c, w in zip(colours, _WEIGHTS, strict=True)), start=_WEIGHTS[2]) >> _BITS
    grey *= _HALF - factor
    grey += _HALF // 2
    moved = [(colour * factor + grey) >> (_BITS - 1) for colour in colours]
    if factor <= _HALF:  # they stay between the grey and what they were
        return moved
    least, most = np.zeros_like(grey), np.full_like(grey, _MOST)
    return [np.minimum(np.maximum(colour, least), most) for colour in moved]


def _turned(colours: list[Plane], turn: float) -> list[Plane]:
    """Red, green and blue after a turn."""
    thirds = round(3 * turn)
    for _ in range(thirds % 3):
        colours = [colours[2], *colours[:2]]
    fraction = 6 * turn - 2 * thirds  # sixths of the circle, from -1 to 1
    if fraction < 0:  # seen in a mirror that leaves red where it is
        red, green, blue = _turned_a_little([colours[0], *colours[:0:-1]], -fraction)
        return [red, blue, green]
    return _turned_a_little(colours, fraction)


def _turned_a_little(colours: list[Plane], sixths: float) -> list[Plane]:
    """Red, green and blue after a turn of 0 to 1 sixth of the circle, from red towards green."""
    red, green, blue = colours
    weakest = np.minimum(np.minimum(red, green), blue)
    chroma = np.maximum(np.maximum(red, green), blue) - weakest
    rising = chroma * np.int16(round(sixths * _ONE)) + np.int16(_HALF) >> _BITS
    falling = chroma - rising
    rising -= falling
    least = np.zeros_like(chroma)
    distances = [red - green, green - blue, blue - red]
    channels = []
    for channel, colour in enumerate(distances):
        # where the next colour is behind the one after it, this one rises
        moved = distances[(channel + 1) % 3] >> _SIGN
        moved &= rising
        moved += falling
        moved += colour
        np.minimum(np.maximum(moved, least, out=moved), chroma, out=moved)
        moved += weakest
        channels.append(moved)
    return channels


def _multiplied(colours: list[Plane], saturation: float, value: float) -> list[Plane]:
    """Red, green and blue with saturation and value multiplied."""
    strongest = np.maximum(np.maximum(*colours[:2]), colours[2])
    # how much farther a colour comes from the strongest one, in as many bits as fit
    bits = min(8, int(math.log2(_MOST / max(saturation * value, 1))))
    bound = value if value <= 1 else np.minimum(value, _MOST / _LEVELS.clip(1))
    shares = np.round(saturation * bound * 2**bits)
    factor = np.array(shares, np.uint16) if value <= 1 else _looked_up(strongest, shares)
    factor = factor.view(np.uint16)
    brightest = strongest
    if value != 1:
        brightest = _scaled(strongest, np.array(round(value * _ONE), np.uint16), _BITS)
    if value > 1:
        brightest = np.minimum(brightest, np.full_like(strongest, _MOST))
    channels = [brightest - _scaled(strongest - colour, factor, bits) for colour in colours]
    if saturation < _SURELY_LESS:  # no colour falls below 0, however numbers were rounded
        return channels
    least = np.zeros_like(strongest)
    return [np.maximum(colour, least, out=colour) for colour in channels]


def _scaled(plane: Plane, factor: NDArray[np.uint16], bits: int) -> Plane:
    """Levels times a factor in some bits, rounded; less than 2**16 before the bits are dropped."""
    product = plane.view(np.uint16) * factor
    product += np.uint16(2**bits // 2)
    product >>= np.uint16(bits)
    return product.view(np.int16)
