"""Write a video frame by frame, so that what is finished survives any end of the program."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.errors import UserError
from detkit.video.packages import import_av

# Time units in which 25, 30, 30000/1001 and (the first one) 24000/1001 frames/s are exact. MPEG-4
# takes no unit below 1/65535 s.
_CLOCKS = {"libx264": Fraction(1, 120_000), "mpeg4": Fraction(1, 60_000)}
_FALLBACK_RATE = 25.0  # frames/s of a source that says none; frames keep their times anyway
# `libx264` is part of PyAV's wheels; builds without it have MPEG-4. No frames that refer to later
# ones: their reordering would shift the times in a fragmented file.
_CODECS: dict[str, dict[str, str]] = {
    "libx264": {"preset": "veryfast", "crf": "23", "bf": "0", "rc-lookahead": "10"},
    "mpeg4": {},
}
_BITS_PER_PIXEL = 0.15  # of MPEG-4, which has no constant quality here
# A fragment each second: readable at any moment, and an ordinary MP4 file once it is closed.
_CONTAINER = {"movflags": "hybrid_fragmented", "frag_duration": "1000000", "flush_packets": "1"}
_EVEN = 2  # chroma of 4:2:0 needs even sides


class VideoEncoder:
    """Writes an MP4 file of frames that keep their times.

    The file can be played while it grows, and after the program was killed.

    Args:
        path: The file, which is replaced.
        rate: Frames per second, for the encoder's bit rate; None if unknown.

    Attributes:
        codec: The encoder in use.
        frames: How many frames are written.
    """

    def __init__(self, path: Path, rate: float | None) -> None:
        self._path, self._rate = path, rate or _FALLBACK_RATE
        self._av = import_av(f"{path}")
        available = self._av.codecs_available
        self.codec = next((name for name in _CODECS if name in available), "")
        if not self.codec:
            raise UserError(f"{path}: this PyAV has none of the encoders {', '.join(_CODECS)}.")
        self.frames = 0
        self._clock = _CLOCKS[self.codec]
        self._container: Any = None
        self._stream: Any = None
        self._size = (0, 0)
        self._latest = -1

    def add(self, pixels: NDArray[np.uint8], time: float) -> None:
        """Append a frame (H, W, 3); one of another size than the first is scaled to it.

        Args:
            pixels: RGB.
            time: Seconds since the start of the video.

        Raises:
            UserError: The file cannot be written.
        """
        try:
            if self._container is None:
                self._open(pixels.shape[0], pixels.shape[1])
            frame = self._av.VideoFrame.from_ndarray(even(pixels), format="rgb24")
            if (frame.height, frame.width) != self._size:
                frame = frame.reformat(width=self._size[1], height=self._size[0])
            self._latest = max(round(time / self._clock), self._latest + 1)
            frame.pts, frame.time_base = self._latest, self._clock
            self._container.mux(self._stream.encode(frame))
        except (OSError, self._av.FFmpegError) as error:
            raise self._refusal(error) from error
        self.frames += 1

    def close(self) -> None:
        """Finish the file.

        Raises:
            UserError: The file cannot be written.
        """
        if self._container is None:
            return
        container, self._container = self._container, None
        try:
            container.mux(self._stream.encode(None))
            container.close()
        except (OSError, self._av.FFmpegError) as error:
            raise self._refusal(error) from error

    def _open(self, height: int, width: int) -> None:
        self._container = self._av.open(str(self._path), "w", format="mp4", options=_CONTAINER)
        rate = Fraction(self._rate).limit_denominator(1001)
        stream = self._container.add_stream(self.codec, rate=rate, options=_CODECS[self.codec])
        self._size = (height + height % _EVEN, width + width % _EVEN)
        stream.height, stream.width = self._size
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = self._clock
        if self.codec == "mpeg4":
            stream.bit_rate = round(_BITS_PER_PIXEL * height * width * self._rate)
        self._stream = stream

    def _refusal(self, error: Exception) -> UserError:
        reason = getattr(error, "strerror", None) or str(error)
        return UserError(
            f"{self._path} cannot be written ({reason}) after {self.frames} frames, which stay: "
            "free disk space or choose another output=FOLDER."
        )


def even(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pixels (H, W, 3) with even sides; the last row or column is repeated."""
    odd_height, odd_width = pixels.shape[0] % _EVEN, pixels.shape[1] % _EVEN
    if not odd_height and not odd_width:
        return np.ascontiguousarray(pixels)
    return np.pad(pixels, ((0, odd_height), (0, odd_width), (0, 0)), mode="edge")
