"""Resize images: how large the result is, and the pixels, equal to PyTorch's.

PyTorch resizes uint8 images with 16-bit integer weights, and rounds after each of the two passes.
Pillow uses wider weights and differs in about one pixel in 200 by one grey level, so the passes are
written out here: a detector sees the same pixels with PyTorch and without.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detkit.pixels.image_decoding import Pixels

Size = tuple[int, int]  # height, width
_WEIGHT_LIMIT = 2**15  # of 16-bit integers
_MOST_BITS = 22
_FLOAT32_BITS = 16  # with more, sums of weights times 255 exceed what float32 holds exactly
_ROWS = 8  # of the result in a matrix product; more would multiply more zeros


class Fit(NamedTuple):
    """A resized image on a canvas.

    Attributes:
        inner: (height, width) of the resized image.
        canvas: (height, width) of the result.
        left: Columns before the image.
        top: Rows before the image.
    """

    inner: Size
    canvas: Size
    left: int = 0
    top: int = 0


def fit_short_side(
    size: Size, *, short_side: int, long_side: int | None, multiple: int, enlarge: bool
) -> Fit:
    """The size that the transform `resize` gives an image; see its arguments."""
    factor = short_side / min(size)
    if long_side is not None:
        factor = min(factor, long_side / max(size))
    if not enlarge:
        factor = min(factor, 1.0)
    inner = (rounded_length(size[0] * factor, multiple), rounded_length(size[1] * factor, multiple))
    return Fit(inner, inner)


def fit_letterbox(size: Size, *, height: int, width: int, centred: bool, enlarge: bool) -> Fit:
    """Where the transform `letterbox` puts an image; see its arguments."""
    factor = min(height / size[0], width / size[1])
    factor = factor if enlarge else min(factor, 1.0)
    inner = (
        min(rounded_length(size[0] * factor), height),
        min(rounded_length(size[1] * factor), width),
    )
    left, top = ((width - inner[1]) // 2, (height - inner[0]) // 2) if centred else (0, 0)
    return Fit(inner, (height, width), left, top)


def rounded_length(length: float, multiple: int = 1) -> int:
    """The nearest multiple of a number of pixels, at least one."""
    return max(1, math.floor(length / multiple + 0.5)) * multiple


def resize_pixels(pixels: Pixels, size: Size) -> Pixels:
    """Resize (H, W, C), uint8 or float32, to a height and width: bilinear, antialiased."""
    height, width, channels = pixels.shape
    if width != size[1]:
        columns = np.ascontiguousarray(pixels.transpose(1, 0, 2)).reshape(width, -1)
        resized = _resize_rows(columns, size[1]).reshape(size[1], height, channels)
        pixels = np.ascontiguousarray(resized.transpose(1, 0, 2))
    if height != size[0]:
        rows = np.ascontiguousarray(pixels).reshape(height, -1)
        pixels = _resize_rows(rows, size[0]).reshape(*size, channels)
    return pixels


def place_pixels(pixels: Pixels, fit: Fit, fill: int) -> Pixels:
    """Put a resized image on its canvas of one grey value."""
    if fit.inner == fit.canvas:
        return pixels
    canvas = np.full((*fit.canvas, pixels.shape[2]), fill, pixels.dtype)
    height, width = fit.inner
    canvas[fit.top : fit.top + height, fit.left : fit.left + width] = pixels
    return canvas


def _resize_rows(rows: Pixels, count: int) -> Pixels:
    """Resize L rows of values (L, M) to `count` rows."""
    first, weights = _triangle_weights(len(rows), count)
    is_exact, bits = rows.dtype == np.uint8, 0  # as PyTorch: whole numbers for bytes only
    if is_exact:
        weights, bits = _whole_weights(weights)
    taps = weights.shape[1]
    exact = np.float32 if bits <= _FLOAT32_BITS else np.float64
    result = np.empty((count, rows.shape[1]), rows.dtype)
    for start in range(0, count, _ROWS):
        chunk = slice(start, min(start + _ROWS, count))
        offsets = first[chunk] - first[start]
        band = np.zeros((len(offsets), offsets[-1] + taps), exact)
        band[np.arange(len(offsets))[:, None], offsets[:, None] + np.arange(taps)] = weights[chunk]
        source = rows[first[start] : first[start] + band.shape[1]].astype(exact)
        sums = band[:, : len(source)] @ source
        if not is_exact:
            result[chunk] = sums
            continue
        sums += 2.0 ** (bits - 1)
        sums *= 2.0**-bits
        result[chunk] = np.minimum(sums, 255, out=sums)  # the conversion rounds down
    return result


def _triangle_weights(length: int, count: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Weights of a triangle filter, as wide as a step if that is more than a pixel.

    Returns:
        (count,) the first of the T pixels that make up each result, and (count, T) their weights.
    """
    scale = length / count
    support = max(scale, 1.0)
    centre = scale * (np.arange(count) + 0.5)
    first = np.maximum((centre - support + 0.5).astype(np.int64), 0)
    last = np.minimum((centre + support + 0.5).astype(np.int64), length)
    position = np.arange(np.max(last - first))
    distance = np.abs((first[:, None] + position - centre[:, None] + 0.5) / support)
    weights = np.where(position < (last - first)[:, None], np.maximum(1 - distance, 0), 0)
    weights /= np.cumsum(weights, axis=1)[:, -1:]  # in sequence, as PyTorch adds them
    return first, weights


def _whole_weights(weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """The weights as whole numbers that sum to about 2 to the number of bits, and that number."""
    largest, bits = weights.max(), 0
    while bits < _MOST_BITS and int(0.5 + largest * 2 ** (bits + 1)) < _WEIGHT_LIMIT:
        bits += 1
    return np.floor(weights * 2**bits + 0.5), bits
