"""Decode image files to tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from detkit.ops.torchvision_operators import load_operators
from detkit.pixels.image_decoding import Pixels, decode_pixels

load_operators("image", "image::decode_jpeg")
_RGB = 3  # of torchvision.io.ImageReadMode


def decode(source: Path | bytes) -> Tensor:
    """Decode an image file, or its content, to (3, H, W) uint8 RGB, colours innermost in memory.

    Images with the colours innermost are faster to resize.

    Raises:
        UnreadableImageError: The file is missing, broken, too large or no image.
    """
    return as_tensor(decode_pixels(source, torchvision_jpeg))


def as_tensor(pixels: Pixels) -> Tensor:
    """The same pixels (H, W, 3) as a tensor (3, H, W), without a copy."""
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
