"""How many channels the images of a data set have, and the range of their values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]  # (H, W, C) of any number type
_GREY, _COLOURS, _WITH_ALPHA = 1, 3, 4  # channels
_WHITE = 255.0
_LUMA = np.array([0.299, 0.587, 0.114])  # Pillow's weights of red, green and blue


class PixelFormatError(Exception):
    """Values do not fit the format; the message says why in a few words."""


@dataclass(frozen=True)
class PixelFormat:
    """The images that a detector takes.

    Attributes:
        channels: Channels of an image; 3 are red, green and blue.
        value_range: The values of black and white in images of more than 8 bits; they become 0 and
            255 in float32. None keeps 8 bits per channel.
    """

    channels: int = _COLOURS
    value_range: tuple[float, float] | None = None

    @staticmethod
    def of(config: Mapping[str, Any]) -> PixelFormat:
        """The format in a run's configuration; without a data block, that of the model."""
        data = config.get("data")
        if isinstance(data, Mapping):
            black_white = data.get("value_range")
            channels = int(data.get("channels", _COLOURS))
            return PixelFormat(channels, None if black_white is None else tuple(black_white))
        mean = (config.get("model") or {}).get("pixel_mean")
        return PixelFormat(_COLOURS if mean is None else len(mean))

    @property
    def is_usual(self) -> bool:
        """Whether images are 8-bit RGB."""
        return self == RGB8

    @property
    def dtype(self) -> type[np.uint8] | type[np.float32]:
        """The number type of decoded images."""
        return np.uint8 if self.value_range is None else np.float32

    def convert(self, values: Values, *, is_picture: bool) -> Values:
        """Values as decoded to (H, W, channels), uint8 or float32, from 0 to 255.

        Args:
            values: (H, W, C) of any number type.
            is_picture: Whether they come from an ordinary picture, whose grey, colours and
                transparency can be converted; the channels of other files must agree.

        Raises:
            PixelFormatError: Channels or number type do not fit.
        """
        levels = self._to_levels(values)
        count = levels.shape[2]
        if count == self.channels:
            return np.ascontiguousarray(levels)
        if self.channels == _COLOURS and count == _GREY:
            return np.repeat(levels, _COLOURS, axis=2)
        if is_picture and count == _WITH_ALPHA and self.channels == _COLOURS:
            return np.ascontiguousarray(levels[..., :_COLOURS])
        if is_picture and count in (_COLOURS, _WITH_ALPHA) and self.channels == _GREY:
            return _grey(levels)
        raise PixelFormatError(_channel_problem(values.shape, self.channels))

    def _to_levels(self, values: Values) -> Values:
        """The same values on the scale from 0 to 255."""
        if values.dtype == np.bool_:
            values = values.astype(np.uint8) * np.uint8(_WHITE)
        if values.dtype == np.uint8:
            return values if self.value_range is None else values.astype(np.float32)
        if self.value_range is None:
            raise PixelFormatError(
                f"holds {values.dtype} values: set data.value_range to the values of black and "
                f"white, such as {_likely_range(values)}"
            )
        black, white = self.value_range
        levels = (np.nan_to_num(values.astype(np.float64)) - black) * (_WHITE / (white - black))
        return levels.clip(0, _WHITE).astype(np.float32)


RGB8 = PixelFormat()


def _grey(levels: Values) -> Values:
    """(H, W, 1) brightness of colours (H, W, 3 or 4), in the same number type."""
    brightness: Values = levels[..., :_COLOURS] @ _LUMA
    if levels.dtype == np.uint8:
        brightness = brightness.round()
    return brightness.astype(levels.dtype)[..., None]


def _channel_problem(shape: tuple[int, ...], channels: int) -> str:
    text = f"has {shape[2]} channels, and data.channels is {channels}"
    if shape[0] == channels:
        return f"{text}; its shape {shape} looks like channels first: save it as (H, W, {channels})"
    return text


def _likely_range(values: Values) -> str:
    """A range to suggest: that of the integer type, or of floating-point values from 0 to 1."""
    if values.dtype.kind in "ui":
        return f"[0,{np.iinfo(values.dtype).max}]"
    largest = float(np.nanmax(values)) if values.size else 1.0
    return "[0,1]" if largest <= 1 else f"[0,{largest:.6g}]"
