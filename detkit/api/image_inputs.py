"""Images as users have them: files, arrays, tensors, pictures and encoded bytes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, Union

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from detkit.errors import DataError, UserError
from detkit.inference.sources import find_images
from detkit.pixels.channels import converted, decode_image, picture_values
from detkit.pixels.image_decoding import (
    Pixels,
    UnreadableImageError,
    grey_to_rgb,
    picture_to_rgb,
    refuse_raw,
)
from detkit.pixels.pixel_format import RGB8, PixelFormat, PixelFormatError
from detkit.video.locations import is_video, without_password
from detkit.video.web import image_at

if TYPE_CHECKING:  # an exported detector needs no torch
    from torch import Tensor

Encoded = bytes | bytearray | memoryview
ImageInput: TypeAlias = Union[str, "os.PathLike[str]", Encoded, NDArray[Any], Image.Image, "Tensor"]
DecodeJPEG = Callable[[Path | bytes], Pixels]
_SINGLE = (str, os.PathLike, bytes, bytearray, memoryview, np.ndarray, Image.Image)
_ACCEPTED = (
    "a path, a NumPy array (H, W, 3) or (H, W), a PIL image, a tensor (3, H, W), encoded bytes, or "
    "a list of these"
)
_WEB = ("http://", "https://")
_GREY, _RGB, _RGBA = 1, 3, 4  # channels
_PLANE, _IMAGE, _BATCH = 2, 3, 4  # dimensions


class ImageToRead(NamedTuple):
    """One image that is not decoded yet.

    Attributes:
        decode: Decodes it to (H, W, C), by default uint8 RGB; raises UnreadableImageError.
        path: The image file; None for an image from memory.
        description: Names the image in messages.
    """

    decode: Callable[[], Pixels]
    path: Path | None
    description: str

    def pixels(self) -> Pixels:
        """The decoded image.

        Raises:
            DataError: It cannot be decoded.
        """
        try:
            return self.decode()
        except UnreadableImageError as error:
            raise DataError(f"cannot read {self.description}: {error.reason}.") from error


def images_to_read(
    inputs: ImageInput | Iterable[ImageInput],
    decode_jpeg: DecodeJPEG | None = None,
    pixels: PixelFormat = RGB8,
) -> list[ImageToRead]:
    """List the images of one input or of several; a folder or pattern expands to its images.

    Args:
        inputs: The images.
        decode_jpeg: A faster decoder than PIL's; see `decode_image`.
        pixels: Channels and value range that the detector takes.

    Raises:
        UserError: There are none, or one is of a wrong type, shape or range.
    """
    if isinstance(inputs, _SINGLE) or _is_tensor(inputs):
        return list(_images(inputs, "the image", decode_jpeg, pixels))
    _refuse_file(inputs, "the image")
    if isinstance(inputs, Mapping) or not isinstance(inputs, Iterable):
        raise UserError(f"predict got {_type(inputs)}; expected {_ACCEPTED}.")
    images = [
        image
        for position, value in enumerate(inputs)
        for image in _images(value, f"inputs[{position}]", decode_jpeg, pixels)
    ]
    if not images:
        raise UserError(f"predict got an empty list; expected {_ACCEPTED}.")
    return images


def _images(
    value: Any, description: str, decode_jpeg: DecodeJPEG | None, pixels: PixelFormat
) -> Iterator[ImageToRead]:
    if isinstance(value, str) and value.startswith(_WEB):
        yield ImageToRead(
            partial(_decode_url, value, pixels), None, f"the image '{without_password(value)}'"
        )
    elif isinstance(value, str | os.PathLike):
        for path in _files(os.fspath(value)):
            decode = partial(_decode_file, path, decode_jpeg, pixels)
            yield ImageToRead(decode, path, f"the image '{path}'")
    elif isinstance(value, Encoded):
        decode = partial(decode_image, bytes(value), pixels, decode_jpeg)
        yield ImageToRead(decode, None, description)
    elif isinstance(value, Image.Image):
        yield ImageToRead(partial(_from_picture, value, pixels), None, description)
    elif isinstance(value, np.ndarray):
        yield ImageToRead(_array_decoder(value, pixels, description), None, description)
    elif _is_tensor(value):
        _require_tensor(value, description, pixels.channels)
        yield ImageToRead(partial(_from_tensor, value, pixels), None, description)
    else:
        _refuse_file(value, description)
        raise UserError(f"{description} is {_type(value)}; expected {_ACCEPTED}.")


def _is_tensor(value: object) -> bool:
    """Whether a value is a PyTorch tensor; without torch in this process there are none."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _decode_file(path: Path, decode_jpeg: DecodeJPEG | None, pixels: PixelFormat) -> Pixels:
    refuse_raw(path)
    return decode_image(path, pixels, decode_jpeg)


def _decode_url(url: str, pixels: PixelFormat) -> Pixels:
    content = image_at(url)
    if content is None:
        raise DataError(f"'{without_password(url)}' is a video: call detector.video.")
    return decode_image(content, pixels)


def _from_picture(picture: Image.Image, pixels: PixelFormat) -> Pixels:
    if pixels.is_usual:
        return picture_to_rgb(picture)
    return converted(picture_values(picture), pixels, b"", is_picture=True)


def _array_decoder(
    array: NDArray[Any], pixels: PixelFormat, description: str
) -> Callable[[], Pixels]:
    """Check an array, and return what converts it.

    Raises:
        UserError: Its type or shape does not fit the detector.
    """
    if pixels.is_usual:
        _require_array(array, description)
        return partial(_from_array, array)
    summary = f"{description} is a NumPy array of {array.dtype} {array.shape}"
    expected = f"expected (H, W, {pixels.channels})"
    if array.ndim not in (_PLANE, _IMAGE) or array.size == 0 or array.dtype.kind not in "biuf":
        raise UserError(f"{summary}; {expected}.")
    values = array.reshape(*array.shape[:_PLANE], -1)
    try:
        pixels.convert(values[:1, :1], is_picture=False)
    except PixelFormatError as error:
        raise UserError(f"{summary}; {expected}: it {error}.") from error
    return partial(pixels.convert, values, is_picture=False)


def _refuse_file(value: object, description: str) -> None:
    """Refuse an open file, which is a sequence of lines to Python.

    Raises:
        UserError: It is one.
    """
    if hasattr(value, "read"):
        raise UserError(f"{description} is an open file: pass its path, or its bytes by read().")


def _files(path: str) -> list[Path]:
    if not path:  # the working directory, to pathlib
        raise UserError(f"a path is empty; expected {_ACCEPTED}.")
    if "://" in path:
        raise UserError(f"'{path}' is no http address: for streams call detector.video.")
    if is_video(Path(path)) and not Path(path).is_dir():
        raise UserError(f"'{path}' is a video: call detector.video.")
    return find_images(path)


def _require_array(array: NDArray[Any], description: str) -> None:
    """Refuse an array that is no RGB or grey image.

    Raises:
        UserError: Its type or shape is another.
    """
    shape = array.shape
    summary = f"{description} is a NumPy array of {array.dtype} {shape}"
    is_image = array.ndim == _IMAGE and shape[2] in (_GREY, _RGB, _RGBA)
    if array.ndim != _PLANE and not is_image:
        hint = " For several images pass list(array)." if array.ndim == _BATCH else ""
        if array.ndim == _IMAGE and shape[0] == _RGB:
            hint = " Channels come last: pass array.transpose(1, 2, 0)."
        raise UserError(f"{summary}; expected (H, W, 3) RGB or (H, W) grey.{hint}")
    is_deep_grey = _is_grey(array) and (array.dtype.kind, array.itemsize) == ("u", 2)
    if array.dtype != np.uint8 and not is_deep_grey:
        raise UserError(
            f"{summary}; expected uint8 from 0 to 255 (grey also uint16). For values from 0 to 1 "
            "pass (array * 255).round().astype('uint8')."
        )
    if array.size == 0:
        raise UserError(f"{summary}; expected an image with at least one pixel.")


def _is_grey(array: NDArray[Any]) -> bool:
    return array.ndim == _PLANE or array.shape[2] == _GREY


def _from_array(array: NDArray[Any]) -> Pixels:
    """Convert to (H, W, 3), colours innermost in memory, as files are decoded."""
    if _is_grey(array):
        return grey_to_rgb(array.reshape(array.shape[:2]))
    # A copy if PyTorch cannot use the array: [..., ::-1] gives negative strides.
    return np.require(array[..., :_RGB], requirements=["C", "W"])  # contiguous and writeable


def _require_tensor(tensor: Tensor, description: str, channels: int) -> None:
    """Refuse a tensor that is no image with these channels.

    Raises:
        UserError: Its type, shape or range is another.
    """
    shape = tuple(tensor.shape)
    dtype = str(tensor.dtype).removeprefix("torch.")
    summary = f"{description} is a tensor of {dtype} {shape}"
    if str(tensor.layout) != "torch.strided" or tensor.is_meta or tensor.is_quantized:
        raise UserError(f"{summary} without ordinary pixel values; expected a dense tensor.")
    if tensor.ndim != _IMAGE or shape[0] != channels:
        hint = " For several images pass list(tensor)." if tensor.ndim == _BATCH else ""
        kind = " RGB" if channels == _RGB else ""
        raise UserError(f"{summary}; expected ({channels}, H, W){kind}.{hint}")
    if tensor.numel() == 0:
        raise UserError(f"{summary}; expected an image with at least one pixel.")
    if dtype == "uint8":
        return
    if not tensor.is_floating_point():
        raise UserError(f"{summary}; expected uint8 from 0 to 255, or floating point from 0 to 1.")
    low, high = (float(value) for value in tensor.detach().float().aminmax())
    if not (low >= 0 and high <= 1):
        raise UserError(
            f"{summary} with values from {low:g} to {high:g}; expected 0 to 1. Pass it before "
            "normalisation; the detector normalises it."
        )


def _from_tensor(tensor: Tensor, pixels: PixelFormat) -> Pixels:
    image = tensor.detach().cpu()
    if image.is_floating_point():
        levels = image.float() * 255
        image = levels.round().byte() if pixels.value_range is None else levels
    values: Pixels = image.permute(1, 2, 0).contiguous().numpy()
    return values.astype(pixels.dtype, copy=False)


def _type(value: object) -> str:
    return "None" if value is None else f"a value of type {type(value).__name__}"
