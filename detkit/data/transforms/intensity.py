"""Change the colours of images with OpenCV.

Hues are computed in floating point: OpenCV's 8-bit HSV has 180 or 256 hues, which shifts colours by
up to six levels. Rows are processed in blocks that fit into the processor's cache.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from detkit.data.opencv import cv2

Pixels = NDArray[Any]  # (H, W, C) interleaved, red first
_BLOCK_PIXELS = 2**15  # 384 kB as floats
_MEAN_SAMPLE = 2**12  # pixels to compute the mean from
_MOST = 255
_LEVELS = np.arange(_MOST + 1)
_CIRCLE = 360.0  # OpenCV's unit of the hue
# Values are multiplied by this, so that the bound of the value is above every hue: OpenCV applies
# one bound to all channels. Turned hues are below 720.
_SCALE = 4
GREY = (0.299, 0.587, 0.114)  # how bright the colours are to the eye


def adjust(image: torch.Tensor, turn: float, saturation: float, value: float) -> torch.Tensor:
    """The image (3, H, W) with hues turned, saturation and value multiplied, as HSV has it.

    The result is within one level of exact arithmetic. Channels that would fall below 0 because the
    saturation exceeds 1 become 0; a value above 255 becomes 255 at the same saturation.

    Args:
        image: The image.
        turn: A share of the colour circle.
        saturation: A factor, 0 or more.
        value: A factor, 0 or more.
    """
    change = np.zeros((3, 4), np.float32)  # maps (hue, saturation, value, 1)
    change[0, 0], change[0, 3] = 1, turn % 1 * _CIRCLE
    change[1, 1], change[2, 2] = saturation, value * _SCALE

    source, result = _interleaved(image)
    # Two buffers for all blocks, as the system takes large arrays back each time they are freed.
    # OpenCV copies an array that it would convert in place.
    buffers = np.empty((2, _rows_of_a_block(source), *source.shape[1:]), np.float32)
    for rows in _blocks(source):
        first, second = buffers[:, : len(source[rows])]
        np.copyto(first, source[rows])
        cv2.cvtColor(first, cv2.COLOR_RGB2HSV, dst=second)
        cv2.transform(second, change, dst=first)
        if value > 1:
            cv2.threshold(first, _MOST * _SCALE, 0, cv2.THRESH_TRUNC, dst=first)
        cv2.cvtColor(first, cv2.COLOR_HSV2RGB, dst=second)
        if saturation > 1:  # before convertScaleAbs, which takes absolute values
            cv2.threshold(second, 0, 0, cv2.THRESH_TOZERO, dst=second)
        if result.dtype == np.uint8:
            cv2.convertScaleAbs(second, alpha=1 / _SCALE, dst=result[rows])
        else:
            np.multiply(second, 1 / _SCALE, out=result[rows])
    return torch.from_numpy(result).permute(2, 0, 1)


def jitter(
    image: torch.Tensor, brightness: float, contrast: float, saturation: float, turn: float
) -> torch.Tensor:
    """The image (C, H, W) after four adjustments in the order and manner of torchvision's.

    torchvision truncates after each step, so the results differ: without a hue change by at most
    three levels for factors from 0.8 to 1.2, and by five for factors from 0 to 2. The mean that
    contrast preserves is that of about 4,096 evenly spaced pixels; torchvision uses all pixels.

    Args:
        image: The image; saturation 1 and no turn unless it has three channels.
        brightness: A factor.
        contrast: A factor of the distance to the mean of all pixels.
        saturation: A factor of the distance to the pixel's own grey.
        turn: A share of the colour circle.
    """
    if image.dtype != torch.uint8:
        return _jitter_floats(image, brightness, contrast, saturation, turn)
    table = _table(image, brightness, contrast)
    fade = (np.eye(3) * saturation + (1 - saturation) * np.array([GREY] * 3)).astype(np.float32)

    source, result = _interleaved(image)
    for rows in _blocks(source):
        levels = source[rows]
        if table is not None:  # OpenCV drops the axis of a single channel
            levels = cv2.LUT(levels, table).reshape(levels.shape)
        result[rows] = levels if saturation == 1 else cv2.transform(levels, fade)
    changed = torch.from_numpy(result).permute(2, 0, 1)
    return changed if turn % 1 == 0 else adjust(changed, turn, 1.0, 1.0)


def _table(image: torch.Tensor, brightness: float, contrast: float) -> NDArray[np.uint8] | None:
    """The level that each of the 256 levels becomes; None if all stay."""
    if brightness == contrast == 1:
        return None
    table = (_LEVELS * brightness).clip(0, _MOST)
    if contrast != 1:
        apart = max(math.isqrt(image[0].numel() // _MEAN_SAMPLE), 1)
        sample = image[:, ::apart, ::apart].flatten(1).numpy()
        counts = [np.bincount(levels, minlength=_MOST + 1) for levels in sample]
        mean = float(_shares(len(sample)) @ (np.stack(counts) @ table)) / max(sample.shape[1], 1)
        table = (table * contrast + mean * (1 - contrast)).clip(0, _MOST)
    return table.round().astype(np.uint8)


def _jitter_floats(
    image: torch.Tensor, brightness: float, contrast: float, saturation: float, turn: float
) -> torch.Tensor:
    """The same adjustments of float32 values from 0 to 255, without rounding to levels."""
    shares = torch.from_numpy(_shares(len(image))).float()[:, None, None]
    changed = (image * brightness).clamp_(0, _MOST)
    if contrast != 1:
        mean = (changed * shares).sum(0).mean()
        changed = (changed * contrast + mean * (1 - contrast)).clamp_(0, _MOST)
    if saturation != 1:
        grey = (changed * shares).sum(0)
        changed = (changed * saturation + grey * (1 - saturation)).clamp_(0, _MOST)
    return changed if turn % 1 == 0 else adjust(changed, turn, 1.0, 1.0)


def _shares(channels: int) -> NDArray[np.float64]:
    """What each channel adds to the brightness: all the same unless they are colours."""
    return np.array(GREY if channels == len(GREY) else [1 / channels] * channels)


def _interleaved(image: torch.Tensor) -> tuple[Pixels, Pixels]:
    """The pixels with the colours innermost, and an empty array like them."""
    source = image.permute(1, 2, 0).contiguous().numpy()
    return source, np.empty_like(source)


def _rows_of_a_block(pixels: Pixels) -> int:
    return max(_BLOCK_PIXELS // max(len(pixels[0]), 1), 1)


def _blocks(pixels: Pixels) -> Iterator[slice]:
    """The rows of each block."""
    count = _rows_of_a_block(pixels)
    return (slice(top, top + count) for top in range(0, len(pixels), count))
