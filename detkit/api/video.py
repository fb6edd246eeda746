"""Detections in the frames of a video, a camera or a stream."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from detkit.api.backend import Backend
from detkit.api.image_inputs import ImageToRead, images_to_read
from detkit.api.results import Result, result_of
from detkit.api.thresholds import Scores, one_score
from detkit.errors import UserError
from detkit.structures import DetectionArrays
from detkit.video.locations import Location, location_of
from detkit.video.overlap import NewestItems, frames_ahead, run_ahead
from detkit.video.reader import Frame, VideoReader
from detkit.video.times import Selection
from detkit.video.tracking import Tracked, Tracker


class FrameResult(NamedTuple):
    """The detections in one frame.

    Attributes:
        number: Its position in the video, from 0.
        time: Seconds since the first frame of the video.
        result: The detections; holds the pixels of the frame.
    """

    number: int
    time: float
    result: Result


class _PreparedFrame(NamedTuple):
    frame: Frame
    image: ImageToRead
    sample: Any


class VideoResults(Iterator[FrameResult]):
    """The frames of a video with their detections, read while you iterate; see `Detector.video`.

    Args:
        backend: Runs the network.
        source: A video file, a camera's number, or an address.
        selection: Which frames to use.
        track: `bytetrack`, `sort` or None.
        lowest_scores: (C,) the minimum score of each class.
        batch_size: Frames per forward pass.

    Attributes:
        info: What the video says of itself: size, rate, duration, sound.
        expected: About how many frames will come; None if unknown.

    Raises:
        UserError: The video cannot be opened, or the tracker is missing.
    """

    def __init__(
        self,
        backend: Backend,
        source: str | int | os.PathLike[str],
        selection: Selection,
        *,
        track: str | None,
        lowest_scores: Scores,
        batch_size: int,
    ) -> None:
        self._backend, self._lowest_scores, self._batch_size = backend, lowest_scores, batch_size
        location = _video_location(source)
        self._reader = VideoReader(location, selection)
        self.info = self._reader.info
        self.expected = selection.frames_of(self.info.duration, self.info.rate)
        rate = self.info.rate / selection.every if self.info.rate else None
        self._tracker = None
        if track is not None:
            self._tracker = Tracker(track, threshold=one_score(lowest_scores), rate=rate)
        self._newest: NewestItems[Frame] | None = None
        self._location = location
        self._results = self._iterate()

    @property
    def damaged(self) -> int:
        """How many frames could not be decoded so far."""
        return self._reader.damaged

    @property
    def dropped(self) -> int:
        """How many frames of a live source came faster than the detector so far."""
        return 0 if self._newest is None else self._newest.dropped

    @property
    def cut_short(self) -> str:
        """Why the video broke off before its end; "" if it did not."""
        return self._reader.cut_short

    def __next__(self) -> FrameResult:
        """The next frame.

        Raises:
            UserError: Not one frame can be decoded.
        """
        return next(self._results)

    def close(self) -> None:
        """Stop reading; a loop that runs to the end needs no call."""
        self._results.close()
        self._reader.close()

    def _iterate(self) -> Generator[FrameResult, None, None]:
        with self._reader, closing(self._prepared_frames()) as prepared:
            while batch := list(islice(prepared, self._batch_size)):
                detections = self._backend.predict([frame.sample for frame in batch])
                for frame, arrays in zip(batch, detections, strict=True):
                    yield self._result(frame, arrays)

    def _prepared_frames(self) -> Generator[_PreparedFrame, None, None]:
        """Frames ready for the network, decoded in one thread and resized in another."""
        ahead = frames_ahead(self.info.size)
        if self.info.is_live:
            ahead, self._newest = 1, NewestItems(self._reader)
        frames = self._newest or run_ahead(self._reader, ahead)
        with closing(frames), closing(run_ahead(self._prepared(frames), ahead)) as prepared:
            yield from prepared

    def _prepared(self, frames: Iterable[Frame]) -> Iterator[_PreparedFrame]:
        pixels = self._backend.pixels
        for frame in frames:
            value = frame.pixels if pixels.is_usual else Image.fromarray(frame.pixels)
            image = images_to_read(value, None, pixels)[0]
            image = image._replace(description=f"frame {frame.number} of {self._location}")
            yield _PreparedFrame(frame, image, self._backend.prepare(image))

    def _result(self, prepared: _PreparedFrame, arrays: DetectionArrays) -> FrameResult:
        frame, image, sample = prepared
        tracked = self._followed(arrays, frame.time)
        result = result_of(
            tracked.detections,
            self._backend.class_names,
            self._backend.category_ids,
            size=sample.original_size,
            path=None,
            decode=image.decode,
            tracks=None if self._tracker is None else tracked.identities,
        )
        return FrameResult(frame.number, frame.time, result)

    def _followed(self, arrays: DetectionArrays, time: float) -> Tracked:
        if self._tracker is None:
            is_confident = arrays.scores >= self._lowest_scores[arrays.labels]
            return Tracked(arrays.select(is_confident), np.empty(0, np.int64))
        weak = arrays.select(arrays.scores >= self._tracker.lowest_score)
        return self._tracker.update(weak, time)


def _video_location(source: str | int | os.PathLike[str]) -> Location:
    """The location of a video.

    Raises:
        UserError: It is none.
    """
    text = source if isinstance(source, int) else os.fspath(source)
    location = location_of(text)
    if location is None:
        state = "no video" if Path(str(text)).exists() else "no file, camera or address"
        raise UserError(
            f"source={text}: {state}; expected a video such as clip.mp4, the number of a camera, "
            "or an address such as rtsp://HOST/PATH. For images call detector.predict."
        )
    return location
