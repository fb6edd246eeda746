"""Decode image files to uint8 RGB arrays, with their EXIF orientation applied."""

from __future__ import annotations

import errno
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from detkit.image_files import RAW_SUFFIXES
from detkit.pixels.image_formats import advice_for, register_formats
from detkit.pixels.jpeg_header import START, plain_jpeg_size
from detkit.pixels.numpy_files import is_numpy, numpy_shape

Pixels = NDArray[np.uint8]

FIRST_SWAPPED = 5  # EXIF orientations 5 to 8 swap height and width
_ORIENTATION, _TIFF_WIDTH, _TIFF_HEIGHT = 0x0112, 0x0100, 0x0101  # tags
_FLIPS = {2: (1,), 3: (0, 1), 4: (0,), 6: (1,), 7: (0, 1), 8: (0,)}  # axes, after the swap
DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
# PIL warns of large images, palettes with transparency and odd EXIF; detkit handles them all
# here. Not by catch_warnings, which threads disturb.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
register_formats()
_JPEG = ("JPEG", "MPO")  # MPO is what phones write: a photograph with a preview or a depth map
_ANIMATED = ("GIF", "WEBP", "PNG", "TIFF")


class UnreadableImageError(Exception):
    """A file that cannot be read as an image; `reason` says why in a few words."""

    def __init__(self, source: Path | bytes, reason: str) -> None:
        self.path = source if isinstance(source, Path) else Path("<bytes>")
        self.reason = reason
        super().__init__(f"{self.path}: {reason}")


class ImageHeader(NamedTuple):
    """The header of an image file.

    Attributes:
        size: (height, width) of the decoded image, with the EXIF orientation applied.
        stored_size: (height, width) of the pixels as stored in the file.
        orientation: EXIF orientation, 1 to 8; 1 is upright.
        animated: Whether there are several frames; the first is used.
    """

    size: tuple[int, int]
    stored_size: tuple[int, int]
    orientation: int
    animated: bool


def read_header(path: Path) -> ImageHeader:
    """Sizes, orientation and frames of an image file; decodes no pixels.

    Raises:
        UnreadableImageError: The file is missing, no image, or larger than PIL's own limit against
            files that blow up (178,956,970 pixels, such as 20,000 x 8,900).
    """
    refuse_raw(path)
    if is_numpy(path):
        with explained(path):
            height, width, _ = numpy_shape(path)
        return ImageHeader((height, width), (height, width), 1, False)
    size = _plain_size(path)
    if size is not None:
        return ImageHeader(size, size, 1, False)
    with open_image(path) as (image, orientation):
        if isinstance(image, TiffImageFile):  # PIL gives the size of the upright image
            stored = int(image.tag_v2[_TIFF_HEIGHT]), int(image.tag_v2[_TIFF_WIDTH])
        else:
            stored = image.height, image.width
        upright = stored[::-1] if orientation >= FIRST_SWAPPED else stored
        animated = image.format in _ANIMATED and bool(getattr(image, "is_animated", False))
    return ImageHeader(upright, stored, orientation, animated)


def refuse_raw(path: Path) -> None:
    """Raise UnreadableImageError for a camera's raw file; Pillow would read only its preview."""
    if path.suffix.lower() in RAW_SUFFIXES:
        raise UnreadableImageError(path, "a camera's raw format; convert it to JPEG or PNG")


def _plain_size(path: Path) -> tuple[int, int] | None:
    """(height, width) of an ordinary JPEG that is no larger than PIL's limit; else None."""
    with suppress(OSError, ValueError), open(path, "rb", buffering=0) as stream:
        size = plain_jpeg_size(stream.read(START))
        if size is not None and size[0] * size[1] <= (Image.MAX_IMAGE_PIXELS or 0):
            return size
    return None


def read_size(path: Path) -> tuple[int, int]:
    """(height, width) of an image as `decode_pixels` returns it; reads the header only.

    Raises:
        UnreadableImageError: The file is missing or no image.
    """
    return read_header(path).size


def decode_pixels(
    source: Path | bytes, decode_jpeg: Callable[[Path | bytes], Pixels] | None = None
) -> Pixels:
    """Decode an image file, or its content, to (H, W, 3) uint8 RGB.

    Grey and palette images become RGB, CMYK is converted, transparency is dropped, and the first
    frame is taken. Grey images of more than 8 bits are stretched from their own minimum and maximum
    to 0..255, as files do not say which part of the range is in use; of 16-bit RGB the upper 8 bits
    are taken.

    Args:
        source: The file or its content.
        decode_jpeg: A faster decoder of JPEG; raises RuntimeError for kinds that it cannot read,
            which PIL then reads, or explains what is wrong with them.

    Raises:
        UnreadableImageError: The file is missing, broken, too large or no image.
    """
    pixels: Pixels | None = None
    with open_image(source) as (image, orientation):
        if decode_jpeg is not None and image.format in _JPEG:
            with suppress(RuntimeError):
                pixels = decode_jpeg(source)
        if pixels is None:
            pixels = np.array(image if image.mode == "RGB" else _to_rgb(image))
        if orientation == 1 or isinstance(image, TiffImageFile):  # which PIL turns itself
            return pixels
    return turn(pixels, orientation)


def picture_to_rgb(image: Image.Image) -> Pixels:
    """Convert a PIL image to (H, W, 3) uint8, upright, as `decode_pixels` does.

    Raises:
        UnreadableImageError: Its file is broken, which PIL notices when it needs the pixels.
    """
    orientation = 1
    with suppress(Exception):  # damaged EXIF beside good pixels
        orientation = Image.Image.getexif(image).get(_ORIENTATION, 1)
    try:
        pixels = np.array(image if image.mode == "RGB" else _to_rgb(image))
    except MemoryError:
        raise
    except Exception as error:  # see open_image
        path = Path(getattr(image, "filename", ""))
        raise UnreadableImageError(path, _reason(path, error)) from error
    is_upright = orientation not in range(2, 9) or isinstance(image, TiffImageFile)
    return pixels if is_upright else turn(pixels, orientation)


def grey_to_rgb(values: NDArray[Any]) -> Pixels:
    """Convert (H, W) grey values, uint8 or deeper, to (H, W, 3), as `decode_pixels` does."""
    grey = values if values.dtype == np.uint8 else stretch(values.astype(np.float64))
    return np.repeat(grey[..., None], 3, axis=2)


def _to_rgb(image: Image.Image) -> Image.Image:
    """The image with three colours of 8 bits."""
    if image.mode in DEEP_MODES:
        return Image.fromarray(stretch(np.array(image, dtype=np.float64))).convert("RGB")
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # as PIL wants it, though the colours are the same
    return image.convert("RGB")


def turn(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Pixels (H, W, C) as stored to the upright image that an EXIF orientation means."""
    if orientation >= FIRST_SWAPPED:
        pixels = pixels.transpose(1, 0, 2)
    return np.ascontiguousarray(np.flip(pixels, _FLIPS.get(orientation, ())))


def turn_box(
    box: tuple[float, float, float, float], orientation: int, size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """A box on the stored pixels to the same box on the upright image of a (height, width)."""
    x1, y1, x2, y2 = box
    height, width = size
    if orientation >= FIRST_SWAPPED:
        x1, y1, x2, y2 = y1, x1, y2, x2
    flips = _FLIPS.get(orientation, ())
    if 1 in flips:
        x1, x2 = width - x2, width - x1
    if 0 in flips:
        y1, y2 = height - y2, height - y1
    return x1, y1, x2, y2


@contextmanager
def open_image(source: Path | bytes) -> Iterator[tuple[Image.Image, int]]:
    """The open file and its orientation; any fault becomes an UnreadableImageError."""
    try:
        with Image.open(BytesIO(source) if isinstance(source, bytes) else source) as image:
            try:
                # not image.getexif(), which decodes the whole of a PNG to look behind its pixels
                orientation = Image.Image.getexif(image).get(_ORIENTATION, 1)
            except Exception:  # damaged EXIF beside good pixels
                orientation = 1
            yield image, orientation if orientation in range(1, 9) else 1
    except (MemoryError, UnreadableImageError):
        raise
    except Exception as error:  # readers of damaged files raise nearly every kind of error
        raise UnreadableImageError(source, _reason(source, error)) from error


@contextmanager
def explained(source: Path | bytes) -> Iterator[None]:
    """Turn any fault of a file that is no picture into an UnreadableImageError."""
    try:
        yield
    except (MemoryError, UnreadableImageError):
        raise
    except Exception as error:  # see open_image
        raise UnreadableImageError(source, _reason(source, error)) from error


_REASONS: dict[type[Exception], str] = {
    FileNotFoundError: "missing file",
    IsADirectoryError: "a folder, not a file",
    PermissionError: "no permission to read it",
    UnidentifiedImageError: "not an image",
}


def _reason(source: Path | bytes, error: Exception) -> str:
    """Summarise the reason why an image cannot be read."""
    reason = _REASONS.get(type(error))
    if reason is not None:
        return _reason_of_emptiness(source) or advice_for(source) or reason
    if isinstance(error, OSError) and error.errno == errno.ELOOP:
        return "link that leads in a circle"
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels; cut it into tiles"
    if "truncated" in str(error).lower():
        return "truncated file"
    return f"damaged file: {type(error).__name__}: {error}"


def _reason_of_emptiness(source: Path | bytes) -> str:
    """The reason why a source is empty; an empty string if it is not."""
    if isinstance(source, bytes):
        return "" if source else "empty"
    if source.is_symlink() and not source.exists():
        return "link to a missing file"
    return "empty file" if source.is_file() and not source.stat().st_size else ""


def stretch(values: NDArray[np.float64]) -> Pixels:
    """(H, W) numbers of any range to uint8."""
    values = np.nan_to_num(values)
    low, high = float(values.min()), float(values.max())
    scaled = (values - low) * (255 / (high - low)) if high > low else np.zeros_like(values)
    return scaled.round().astype(np.uint8)
