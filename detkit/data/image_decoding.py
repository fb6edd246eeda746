"""Decode image files to tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from detkit.errors import DataError
from detkit.image_files import NUMPY_SUFFIX
from detkit.ops.torchvision_operators import load_operators
from detkit.pixels.channels import UnfitImageError, decode_image, decode_preview
from detkit.pixels.image_decoding import Pixels, UnreadableImageError, decode_pixels
from detkit.pixels.numpy_files import is_numpy
from detkit.pixels.pixel_format import RGB8, PixelFormat
from detkit.structures import DatasetIndex

load_operators("image", "image::decode_jpeg")
_RGB = 3  # of torchvision.io.ImageReadMode


def decode(source: Path | bytes, pixels: PixelFormat = RGB8) -> Tensor:
    """Decode an image file, or its content, to (C, H, W), channels innermost in memory.

    Images with the channels innermost are faster to resize.

    Args:
        source: The file or its content.
        pixels: Channels and value range; by default (3, H, W) uint8 RGB.

    Raises:
        UnreadableImageError: The file is missing, broken, too large, no image, or has other
            channels.
    """
    if pixels != RGB8 or (isinstance(source, Path) and source.suffix.lower() == NUMPY_SUFFIX):
        return as_tensor(decode_image(source, pixels, torchvision_jpeg))
    return as_tensor(decode_pixels(source, torchvision_jpeg))


def require_format(index: DatasetIndex, pixels: PixelFormat) -> None:
    """Refuse a data set whose first image has other channels, or values of another type.

    Ordinary pictures become 8-bit RGB whatever they are, so they are not looked at for that.

    Raises:
        DataError: It has.
    """
    path = index.path(0)
    if pixels.is_usual and not is_numpy(path):
        return
    try:
        decode(path, pixels)
    except UnfitImageError as error:
        raise DataError(f"{path}: {error.reason}.") from error
    except UnreadableImageError:
        return  # training replaces it


def preview(path: Path) -> Tensor:
    """Decode any image to (3, H, W) uint8, to look at; see `decode_preview`.

    Raises:
        UnreadableImageError: The file is missing, broken or no image.
    """
    return as_tensor(decode_preview(path, torchvision_jpeg))


def as_tensor(pixels: NDArray[Any]) -> Tensor:
    """The same pixels (H, W, C) as a tensor (C, H, W), without a copy."""
    return torch.from_numpy(pixels).permute(2, 0, 1)


def torchvision_jpeg(source: Path | bytes) -> Pixels:
    """Decode a JPEG: 1.7 to 2 times as fast as PIL at 640x480, with equal pixels.

    Raises:
        RuntimeError: It cannot read this kind of JPEG.
    """
    if isinstance(source, bytes):
        encoded = torch.frombuffer(bytearray(source), dtype=torch.uint8)  # it must be writable
    else:
        encoded = torch.from_numpy(np.fromfile(source, np.uint8))
    planes = torch.ops.image.decode_jpeg(encoded, _RGB, False)  # no EXIF orientation
    pixels: Pixels = planes.permute(1, 2, 0).numpy()
    return pixels
