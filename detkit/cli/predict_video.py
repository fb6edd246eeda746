"""A video for `detkit predict`: a video with boxes, a line of JSON per frame, and other formats."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from detkit.api.detector import Detector
from detkit.api.results import Result
from detkit.api.video import FrameResult, VideoResults
from detkit.cli.output_folder import make_folder
from detkit.cli.predict_images import kept_labels
from detkit.cli.predict_settings import PredictSettings
from detkit.errors import DataError, Stopped
from detkit.inference.prediction_output import Classes, PredictionOutput
from detkit.structures.predictions import PredictedImage, Writer
from detkit.text import counted
from detkit.video.encoder import VideoEncoder
from detkit.video.frame_lines import FrameLines
from detkit.video.locations import Location, result_names
from detkit.video.overlap import InBackground, frames_ahead

# Formats that mean something else for a video: one video with boxes, and one line per frame.
_VIDEO, _LINES = "pictures", "coco"


class VideoSummary(NamedTuple):
    """What became of a video.

    Attributes:
        frames: Frames that are done.
        is_whole: Whether the video was read to its end.
    """

    frames: int
    is_whole: bool


class FrameOutput:
    """Writes the frames of a video in all formats.

    Args:
        folder: The output folder.
        name: Name of the video's files.
        settings: The command's settings.
        detector: The detector.
        video: The frames.

    Attributes:
        frames: Frames so far.
        detections: Detections so far.
        files: The files and folders it writes.

    Raises:
        UserError: A file cannot be written, or `classes` names an unknown class.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        settings: PredictSettings,
        detector: Detector,
        video: VideoResults,
    ) -> None:
        self._name, self._settings = name, settings
        self._labels = kept_labels(settings.classes, detector.class_names)
        self.frames = self.detections = 0
        self.files: list[Path] = []
        self._stack = ExitStack()
        with ExitStack() as stack:
            self._encoder = self._lines = self._output = None
            rate = video.info.rate / settings.frames.every if video.info.rate else None
            if _VIDEO in settings.writers:
                encoder = VideoEncoder(self._file(folder / f"{name}.mp4"), rate)
                self._encoder = stack.enter_context(closing(encoder))
            if _LINES in settings.writers:
                lines = FrameLines(self._file(folder / f"{name}.frames.jsonl"))
                self._lines = stack.enter_context(closing(lines))
            if others := _without(settings.writers, _VIDEO, _LINES):
                inside = make_folder(self._file(folder / name))
                classes = Classes(detector.class_names, detector.category_ids)
                self._output = PredictionOutput(inside, others, classes)
                stack.enter_context(closing(self._output))
                self._output.start({}, ())
            self._stack = stack.pop_all()

    def add(self, frame: FrameResult) -> None:
        """Write one frame."""
        result = frame.result
        if self._labels is not None:
            result = result.select(np.isin(result.labels, self._labels))
        if self._encoder is not None:
            self._encoder.add(np.asarray(result.draw(legend=False)), frame.time)
        if self._lines is not None:
            rows = result.to_coco(mask_format=self._settings.mask_format)
            self._lines.add(frame.number, frame.time, result.names, rows)
        if self._output is not None:
            self._output.add(self._image(frame.number, result))
        self.frames += 1
        self.detections += len(result)

    def finish(self) -> None:
        """Complete the files about all frames."""
        if self._output is not None:
            self._output.finish()

    def close(self) -> None:
        """Close all files; what is written stays."""
        self._stack.close()

    def _file(self, path: Path) -> Path:
        self.files.append(path)
        return path

    def _image(self, number: int, result: Result) -> PredictedImage:
        name = f"{self._name}-{number:06d}"
        record = result.to_record(
            number + 1, name, f"{name}.jpg", mask_format=self._settings.mask_format
        )
        return PredictedImage(record, result.class_names, result.draw, result.crops)


def predict_video(
    detector: Detector, settings: PredictSettings, location: Location, folder: Path, name: str
) -> VideoSummary:
    """Predict on a video, a camera or a stream.

    Returns:
        How far it came; a video that breaks off is no error, as its frames are kept.

    Raises:
        UserError: It cannot be opened, or a file cannot be written.
    """
    frames = settings.frames
    video = detector.video(
        location.address,
        every=frames.every,
        start=frames.start,
        end=frames.end,
        track=frames.track,
        threshold=settings.score_threshold,
        batch_size=settings.batch_size,
    )
    start = perf_counter()
    with closing(video), closing(FrameOutput(folder, name, settings, detector, video)) as output:
        progress = tqdm(video, total=video.expected, unit="frame", disable=None)
        try:
            with InBackground(output.add, frames_ahead(video.info.size)) as background:
                for frame in progress:
                    background.add(frame)
            output.finish()
        except (KeyboardInterrupt, Stopped):
            progress.close()
            output.finish()
            files = ", ".join(map(str, output.files))
            print(
                f"{counted(output.frames, 'frame')} of {location} done, kept in {files}",
                file=sys.stderr,
            )
            raise
        _report(location, video, output, perf_counter() - start)
    return VideoSummary(output.frames, is_whole=not video.cut_short)


def _report(location: Location, video: VideoResults, output: FrameOutput, seconds: float) -> None:
    """What was found, and what was left out."""
    notes = []
    if video.cut_short:
        notes.append(f"ended early ({video.cut_short}); the frames so far are kept")
    if video.damaged:
        notes.append(f"{counted(video.damaged, 'damaged frame')} skipped")
    if video.dropped:
        notes.append(f"{counted(video.dropped, 'frame')} came faster than the detector: skipped")
    if video.info.has_audio and any(file.suffix == ".mp4" for file in output.files):
        notes.append("the sound is not kept")
    for note in notes:
        print(f"{location}: {note}", file=sys.stderr)
    speed = f"{output.frames / max(seconds, 1e-9):.1f} frames/s"
    files = ", ".join(map(str, output.files))
    content = f"{counted(output.detections, 'detection')} in {counted(output.frames, 'frame')}"
    print(f"{location}: {content} ({speed}): {files}")


def predict_videos(
    detector: Detector,
    settings: PredictSettings,
    videos: Sequence[Location],
    folder: Path,
    *,
    is_single: bool,
) -> VideoSummary:
    """Predict on one video after the other.

    Args:
        detector: The detector.
        settings: The command's settings.
        videos: The videos.
        folder: The output folder.
        is_single: Whether the source has nothing else, so that a video that cannot be opened ends
            the command; otherwise it is reported and skipped.

    Returns:
        The sum over all videos.

    Raises:
        UserError: The only video cannot be opened, or a file cannot be written.
    """
    frames, is_whole = 0, True
    for video, name in zip(videos, result_names(videos), strict=True):
        try:
            summary = predict_video(detector, settings, video, folder, name)
        except DataError as error:
            if is_single:
                raise
            print(f"skipped: {error}", file=sys.stderr)
            continue
        frames += summary.frames
        is_whole &= summary.is_whole
    return VideoSummary(frames, is_whole)


def _without(writers: Mapping[str, Writer], *names: str) -> dict[str, Writer]:
    return {name: writer for name, writer in writers.items() if name not in names}
