"""Image files to uint8 RGB tensors, EXIF orientation applied."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm", ".pgm")
_ORIENTATION = 0x0112  # EXIF tag; values 5 to 8 swap height and width
_FIRST_SWAPPED = 5
_DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
_PIL_ERRORS = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)


class UnreadableImageError(Exception):
    """A file that cannot be read as an image; `reason` says why in a few words."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path}: {reason}")


def is_image(path: Path) -> bool:
    """Whether the name of a file is that of an image."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def read_size(path: Path) -> tuple[int, int]:
    """(height, width) of an image as `decode` returns it; reads the header only.

    Raises:
        UnreadableImageError: The file is missing or no image.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            # not image.getexif(), which decodes the whole of a PNG to look behind its pixels
            if Image.Image.getexif(image).get(_ORIENTATION, 1) >= _FIRST_SWAPPED:
                width, height = height, width
    except FileNotFoundError as error:
        raise UnreadableImageError(path, "missing file") from error
    except UnidentifiedImageError as error:
        raise UnreadableImageError(path, "not an image") from error
    except _PIL_ERRORS as error:
        raise UnreadableImageError(path, "unreadable header") from error
    return height, width


def decode(path: Path) -> Tensor:
    """The image of a file as (3, H, W) uint8 RGB, colours innermost in memory: faster to resize.

    Grey and palette images become RGB, CMYK is converted, transparency is dropped, and the first
    frame is taken. Images of more than 8 bits are stretched from their own minimum and maximum to
    0..255, as files do not say which part of the range is in use.

    Raises:
        UnreadableImageError: The file is missing, broken or no image.
    """
    if path.suffix.lower() in (".jpg", ".jpeg"):
        try:  # 1.7 to 2 times as fast as PIL for 640x480 JPEG, equal pixels
            pixels: Tensor = decode_image(
                str(path), mode=ImageReadMode.RGB, apply_exif_orientation=True
            )
            return pixels
        except RuntimeError:
            pass  # PIL reads more kinds of file, and says what is wrong with the others
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode in _DEEP_MODES:
                return _stretch(np.array(upright, dtype=np.float64))
            interleaved = np.array(upright.convert("RGB"))  # (H, W, 3)
    except FileNotFoundError as error:
        raise UnreadableImageError(path, "missing file") from error
    except _PIL_ERRORS as error:
        raise UnreadableImageError(path, f"{type(error).__name__}: {error}") from error
    return torch.from_numpy(interleaved).permute(2, 0, 1)


def _stretch(values: np.ndarray) -> Tensor:
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) * (255 / (high - low)) if high > low else np.zeros_like(values)
    return torch.from_numpy(scaled.round().astype(np.uint8)).expand(3, -1, -1).contiguous()
