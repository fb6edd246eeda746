"""Read the frames of a video, a camera or a stream, one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detkit.errors import DataError
from detkit.video.failures import (
    TIMEOUT,
    cannot_open,
    reason_of,
    unknown_codec,
    without_video,
)
from detkit.video.locations import Kind, Location
from detkit.video.packages import import_av
from detkit.video.times import Selection

_QUARTER = 90  # degrees
# Seconds that a video may be shorter than its header says; fewer if its index lists more frames.
_SLACK, _SHORT_SLACK = 1.0, 0.1
_TCP = {"rtsp_transport": "tcp"}  # over UDP, lost packets tear frames


class Frame(NamedTuple):
    """One frame.

    Attributes:
        number: Its position in the video, from 0.
        time: Seconds since the first frame of the video.
        pixels: (H, W, 3) uint8 RGB, upright.
    """

    number: int
    time: float
    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class VideoInfo:
    """What a video says of itself; a camera or a stream may say little.

    Attributes:
        size: (height, width) of the stored frames, before any rotation.
        rate: Frames per second on average; None if unknown.
        duration: Seconds; None if unknown.
        has_audio: Whether it has sound.
        is_live: Whether frames come in real time, as from a camera.
    """

    size: tuple[int, int]
    rate: float | None
    duration: float | None
    has_audio: bool
    is_live: bool


class VideoReader:
    """An open video; iterate over it, once, for its frames.

    Damaged frames are left out and counted. A video that breaks off ends the iteration; `cut_short`
    then has the reason.

    Args:
        location: The video.
        selection: Which frames to read.

    Attributes:
        info: Size, rate, duration.
        damaged: How many frames could not be decoded so far.
        cut_short: Why the video ended early; "" if it did not.

    Raises:
        DataError: It cannot be opened, has no video, or an unknown codec.
    """

    def __init__(self, location: Location, selection: Selection) -> None:
        self._location, self._selection = location, selection
        self._av = import_av(f"source={location}")
        self._container = self._opened()
        try:
            self._stream = self._video_stream()
            self.info = self._described()
            self._require_start()
        except BaseException:
            self._container.close()
            raise
        self.damaged = 0
        self.cut_short = ""
        self._packets = 0
        self._seen_until = 0.0  # end of the latest frame, in seconds

    def __enter__(self) -> VideoReader:
        """The reader; leaving the context closes the video."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the video."""
        self.close()

    def close(self) -> None:
        """Close the video."""
        self._container.close()

    def __iter__(self) -> Iterator[Frame]:
        """Decode frame by frame.

        Raises:
            DataError: Not one frame can be decoded.
        """
        decoded = 0
        for position, (number, time, frame) in enumerate(self._selected()):
            decoded += 1
            if position % self._selection.every == 0:
                yield Frame(number, time, upright(frame))
        if not decoded:
            raise DataError(f"source={self._location}: {self._emptiness()}.")

    def _opened(self) -> Any:
        camera, file = (self._location.kind is kind for kind in (Kind.CAMERA, Kind.FILE))
        options = _TCP if self._location.address.startswith("rtsp") else {}
        limits = None if file or camera else (TIMEOUT, TIMEOUT)
        try:
            return self._av.open(
                self._location.address,
                format="v4l2" if camera else None,
                options=options,
                timeout=limits,
            )
        except (OSError, ValueError, self._av.FFmpegError) as error:
            raise cannot_open(self._location, error) from error

    def _video_stream(self) -> Any:
        """The first video that is no cover picture."""
        streams = self._container.streams
        cover = self._av.stream.Disposition.attached_pic
        videos = [stream for stream in streams.video if not stream.disposition & cover]
        videos += [
            stream
            for stream in streams
            if stream.type == "video" and stream not in streams.video  # without a decoder
        ]
        if not videos:
            raise without_video(self._location, has_audio=bool(streams.audio))
        if videos[0].codec_context is None:
            raise unknown_codec(self._location)
        videos[0].thread_type = "AUTO"  # several frames at a time, on several cores
        return videos[0]

    def _described(self) -> VideoInfo:
        stream, container, kind = self._stream, self._container, self._location.kind
        duration = container.duration / self._av.time_base if container.duration else None
        if stream.duration and stream.time_base:
            duration = float(stream.duration * stream.time_base)
        rate = stream.average_rate or stream.guessed_rate
        return VideoInfo(
            size=(stream.height, stream.width),
            rate=float(rate) if rate else None,
            duration=duration,
            has_audio=bool(container.streams.audio),
            is_live=kind in (Kind.CAMERA, Kind.STREAM) or (kind is Kind.WEB and duration is None),
        )

    def _require_start(self) -> None:
        start, duration = self._selection.start, self.info.duration
        if start and duration and start >= duration:
            raise DataError(f"start={start:g}: the video lasts {duration:g} s.")

    def _selected(self) -> Iterator[tuple[int, float, Any]]:
        """Number, time and frame from the start to the end of the selection."""
        start, end = self._selection.start or 0.0, self._selection.end
        number = self._seek(start)
        for time, frame in self._timed(jumped=number is None):
            if number is None:  # after a jump only the time tells which frame it is
                number = round(time * (self.info.rate or 0))
            if end is not None and time >= end:
                return
            if time >= start:
                yield number, time, frame
            number += 1
        self._check_length(jumped=start > 0)

    def _seek(self, start: float) -> int | None:
        """Jump to a key frame before a time; the number of the next frame, None if unknown."""
        if not start or self.info.is_live or not self.info.rate:
            return 0
        first = self._stream.start_time or 0
        try:
            self._container.seek(first + int(start / self._stream.time_base), stream=self._stream)
        except (OSError, ValueError, self._av.FFmpegError):
            return 0  # it cannot jump: read up to there
        return None

    def _timed(self, *, jumped: bool) -> Iterator[tuple[float, Any]]:
        """Each frame with its time, which always grows; live sources begin at 0."""
        first = None if self.info.is_live else self._stream.start_time
        first_time = None if first is None else float(first * self._stream.time_base)
        interval = 1 / self.info.rate if self.info.rate else 0.04
        latest = -interval
        for frame in self._decoded():
            time = latest + interval if frame.time is None else frame.time
            if first_time is None:
                first_time = 0.0 if jumped or frame.time is None else time
            if frame.time is not None:
                time -= first_time
            time = max(time, latest + 1e-4) if latest >= 0 else max(time, 0.0)
            latest = time
            length = float(frame.duration * frame.time_base) if frame.duration else interval
            self._seen_until = time + length
            yield time, frame

    def _decoded(self) -> Iterator[Any]:
        """Frames in the order of display, without damaged ones."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except (OSError, ValueError, self._av.FFmpegError) as error:
                self.cut_short = reason_of(error)
                yield from self._flushed()
                return
            self._packets += packet.size > 0
            try:
                yield from packet.decode()
            except self._av.FFmpegError:
                self.damaged += 1

    def _flushed(self) -> Iterator[Any]:
        """The frames that the decoder's threads still hold."""
        for frame in self._stream.decode(None):
            frame.time_base = self._stream.time_base
            yield frame

    def _check_length(self, *, jumped: bool) -> None:
        """Notice a file that ends before its header says."""
        duration = self.info.duration
        if self.cut_short or self.info.is_live or duration is None:
            return
        lacks_packets = not jumped and self._packets < self._stream.frames
        if self._seen_until < duration - (_SHORT_SLACK if lacks_packets else _SLACK):
            seconds = f"{self._seen_until:.1f} s of {duration:.1f} s"
            self.cut_short = f"the file breaks off after {seconds}"

    def _emptiness(self) -> str:
        """Why there is no frame."""
        if self.damaged:
            return f"none of its {self.damaged} frames can be decoded: the file is damaged"
        if self.cut_short:
            return f"it has no whole frame ({self.cut_short})"
        if self._selection.start or self._selection.end:
            return f"no frame lies between start={self._selection.start or 0:g} and its end"
        return "the video has no frames"


def upright(frame: Any) -> NDArray[np.uint8]:
    """The RGB pixels (H, W, 3) of a PyAV frame, rotated as its metadata says."""
    pixels: NDArray[np.uint8] = frame.to_ndarray(format="rgb24")
    turns = round(frame.rotation / _QUARTER) % 4
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels
