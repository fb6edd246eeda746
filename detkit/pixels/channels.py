"""Decode images with other channels or more bits than 8-bit RGB."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from detkit.pixels.image_decoding import (
    DEEP_MODES,
    Pixels,
    UnreadableImageError,
    decode_pixels,
    explained,
    open_image,
    stretch,
    turn,
)
from detkit.pixels.numpy_files import is_numpy, read_numpy, read_numpy_window
from detkit.pixels.pixel_format import RGB8, PixelFormat, PixelFormatError

_STORED = ("L", "LA", "RGB", "RGBA")  # modes whose values are used as they are
_BITS_PER_SAMPLE = 258  # TIFF's tag
_DEEP = 16


class UnfitImageError(UnreadableImageError):
    """A good image with other channels, or values of another type, than the data set has."""


def decode_image(
    source: Path | bytes,
    pixels: PixelFormat = RGB8,
    decode_jpeg: Callable[[Path | bytes], Pixels] | None = None,
) -> NDArray[Any]:
    """Decode an image file, or its content, to (H, W, C), uint8 or float32, from 0 to 255.

    8-bit RGB is decoded by `decode_pixels`. Otherwise grey pictures become RGB and pictures become
    grey as needed, the pages of a TIFF stack are channels, and NumPy files hold (H, W) or
    (H, W, C). Without a value range, grey pictures of more than 8 bits are stretched as
    `decode_pixels` does.

    Args:
        source: The file or its content.
        pixels: Channels and value range.
        decode_jpeg: A faster decoder of JPEG.

    Raises:
        UnreadableImageError: The file is missing, broken, no image, or has other channels.
    """
    if not is_numpy(source):
        if pixels.is_usual:
            return decode_pixels(source, decode_jpeg)
        return _decode_picture(source, pixels)
    with explained(source):
        values = read_numpy(source)
    return converted(values, pixels, source, is_picture=False)


def decode_numpy_window(
    path: Path, pixels: PixelFormat, rows: slice, columns: slice, size: tuple[int, int]
) -> NDArray[Any]:
    """A part of a NumPy file as `decode_image` gives the whole; nothing else is read.

    Args:
        path: The file.
        pixels: Channels and value range.
        rows: Rows of the part.
        columns: Columns of the part.
        size: The (height, width) that the file should have.

    Raises:
        UnreadableImageError: The file is missing, broken, of another size, or has other channels.
    """
    with explained(path):
        values = read_numpy_window(path, rows, columns, size)
    return converted(values, pixels, path, is_picture=False)


def converted(
    values: NDArray[Any], pixels: PixelFormat, source: Path | bytes, *, is_picture: bool
) -> NDArray[Any]:
    """Values as `PixelFormat.convert` gives them; a misfit makes the file unreadable."""
    try:
        return pixels.convert(values, is_picture=is_picture)
    except PixelFormatError as error:
        raise UnfitImageError(source, str(error)) from error


def decode_preview(
    source: Path | bytes, decode_jpeg: Callable[[Path | bytes], Pixels] | None = None
) -> Pixels:
    """Decode any image to (H, W, 3) uint8, to look at.

    Of a NumPy file it shows the first three channels, or the first one in grey, stretched unless
    they have 8 bits.

    Raises:
        UnreadableImageError: The file is missing, broken or no image.
    """
    if not is_numpy(source):
        return decode_pixels(source, decode_jpeg)
    with explained(source):
        values = read_numpy(source)
    values = values[..., :3] if values.shape[2] >= 3 else np.repeat(values[..., :1], 3, axis=2)  # noqa: PLR2004
    return values if values.dtype == np.uint8 else stretch(values.astype(np.float64))


def picture_values(image: Image.Image) -> NDArray[Any]:
    """(H, W, C) values of a PIL image, in the number type that Pillow gives them."""
    if image.mode in DEEP_MODES or image.mode == "1":
        return np.array(image)[..., None]
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    values = np.array(image if image.mode in _STORED else image.convert("RGB"))
    return values[..., None] if values.ndim == 2 else values  # noqa: PLR2004


def _decode_picture(source: Path | bytes, pixels: PixelFormat) -> NDArray[Any]:
    with open_image(source) as (image, orientation):
        if isinstance(image, TiffImageFile) and getattr(image, "n_frames", 1) > 1:
            values, is_picture = _stack(image), False
        elif pixels.value_range is not None and _has_deep_colours(image):
            values, is_picture = _deep_colours(source), True
        else:
            values, is_picture = picture_values(image), True
            if pixels.value_range is None and image.mode in DEEP_MODES:
                values = stretch(values.astype(np.float64))
        if orientation != 1 and not isinstance(image, TiffImageFile):
            values = turn(values, orientation)
    return converted(values, pixels, source, is_picture=is_picture)


def _stack(image: TiffImageFile) -> NDArray[Any]:
    """The pages of a TIFF file as channels."""
    pages = []
    for page in range(image.n_frames):
        image.seek(page)
        pages.append(picture_values(image))
    if len({page.shape[:2] for page in pages}) > 1:
        raise ValueError("its pages differ in size, so they cannot be channels")
    return np.concatenate(pages, axis=2)


def _has_deep_colours(image: Image.Image) -> bool:
    """Whether a picture has colours of 16 bits, of which Pillow reads the upper 8."""
    if isinstance(image, TiffImageFile):
        return (
            image.mode not in DEEP_MODES and max(image.tag_v2.get(_BITS_PER_SAMPLE, [8])) >= _DEEP
        )
    is_png = image.format == "PNG" and image.mode in ("RGB", "RGBA", "LA")
    return is_png and any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))


def _deep_colours(source: Path | bytes) -> NDArray[Any]:
    """Colours of 16 bits, by OpenCV."""
    import cv2  # exported detectors of 8 bits run without it

    content = source if isinstance(source, bytes) else source.read_bytes()
    values = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.ndim != 3:  # noqa: PLR2004
        raise io.UnsupportedOperation("its colours of 16 bits cannot be read: save it as .npy")
    order = [2, 1, 0, 3][: values.shape[2]]  # OpenCV has blue first
    return np.asarray(values)[..., order]
