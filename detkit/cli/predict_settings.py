"""The settings of `detkit predict`, of a run or of an exported file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast, get_args

from detkit import registry
from detkit.api.detector import Detector
from detkit.api.thresholds import PER_CLASS, Threshold
from detkit.api.tiled_backend import tiled
from detkit.api.view_settings import ViewSettings, views_in_words
from detkit.cli.exported_members import FileMember, merged
from detkit.cli.exported_words import exported_options, list_of, number_of, switch_of
from detkit.errors import UserError
from detkit.evaluation.results_file import MaskFormat
from detkit.inference.engines.opening import files_of
from detkit.inference.plain_values import plain_value
from detkit.inference.tiling import Tiling, tiling_in_words
from detkit.structures.predictions import Writer
from detkit.video.tracking import TrackerName, require_tracker

_OPTIONS = (
    *("source", "output", "format", "classes", "resume", "every", "start", "end", "track"),
    *("score_threshold", "mask_format", "batch_size", "device"),
)
_DEFAULT_FORMATS = ("pictures", "coco")
# Keys of the configuration that `PredictSettings` holds apart, or that change no detection.
SEPARATE = (*_OPTIONS, "ckpt", "plugins")


class FrameSettings(NamedTuple):
    """Which frames of a video to use, and who follows objects over them.

    Attributes:
        every: Use every n-th frame.
        start: Seconds or mm:ss; None for the beginning.
        end: Seconds or mm:ss; None for the end.
        track: A tracker; None follows nothing.
    """

    every: int = 1
    start: float | str | None = None
    end: float | str | None = None
    track: TrackerName | None = None

    def words(self) -> list[str]:
        """The settings that differ from the defaults, as the user writes them."""
        values = self._asdict().items()
        defaults = FrameSettings()._asdict()
        return [f"{key}={value}" for key, value in values if value != defaults[key]]


class PredictSettings(NamedTuple):
    """What `detkit predict` was asked for.

    Attributes:
        source: A file, a folder, a pattern, a camera or an address, or a list of these.
        output: Folder for the files.
        frames: Which frames of videos to use.
        writers: What writes them, by the name of their format.
        classes: The classes to keep; None keeps all.
        resume: Whether to continue an unfinished prediction; see the root `Predict`.
        score_threshold: The minimum score, of all classes or of each, or None for the detector's.
        mask_format: How JSON files store masks.
        batch_size: Images per forward pass.
        open_detector: Loads the detector.
        checkpoint_files: The files that hold the detector.
        others: All other settings that detections depend on, as plain values.
    """

    source: str | int | Sequence[str | int]
    output: str
    frames: FrameSettings
    writers: Mapping[str, Writer]
    classes: Sequence[str] | None
    resume: bool | None
    score_threshold: Threshold | None
    mask_format: MaskFormat
    batch_size: int
    open_detector: Callable[[], Detector]
    checkpoint_files: Sequence[Path]
    others: Mapping[str, Any]


def named_writers(names: str | Sequence[str]) -> dict[str, Writer]:
    """Build the writers that `format=` names.

    Raises:
        UserError: There is no such writer, or no name at all.
    """
    names = [names] if isinstance(names, str) else list(names)
    if not set(names) <= set(registry.names("writer")):
        registry.load_plugins()
    if not names:
        known = ", ".join(registry.names("writer"))
        raise UserError(f"format=[]: expected one format or more of {known}.")
    return {name: registry.get("writer", name)() for name in names}


def exported_settings(files: Sequence[Path], words: Sequence[str]) -> PredictSettings:
    """The settings for an exported file, or for several.

    Raises:
        UserError: A word is no option, or its value does not fit.
    """
    tiling, others = tiling_in_words(words)
    views, others = views_in_words(others, len(files))
    options = (*_OPTIONS, "tiling", "tta", "merge", "ckpt_weights")
    values = exported_options("predict", files[0], others, options)
    if "source" not in values:
        raise UserError("detkit predict needs source=FILE, FOLDER or 'PATTERN'.")
    threshold = values.get("score_threshold")
    return PredictSettings(
        source=list_of(values, "source") or values["source"],
        output=values.get("output", "predictions"),
        frames=_frames(values),
        writers=named_writers(list_of(values, "format") or _DEFAULT_FORMATS),
        classes=list_of(values, "classes"),
        resume=switch_of(values, "resume"),
        score_threshold=None if threshold is None else _score(threshold),
        mask_format=_mask_format(values.get("mask_format", "rle")),
        batch_size=number_of(values, "batch_size", 1),
        open_detector=partial(_open, files, values.get("device", "auto"), views, tiling),
        checkpoint_files=[part for file in files for part in files_of(file)],
        others={
            **({} if tiling is None else {"tiling": tiling.override()}),
            **({} if views is None else {"views": str(views)}),
        },
    )


def _frames(values: dict[str, str]) -> FrameSettings:
    """The settings of videos.

    Raises:
        UserError: There is no such tracker, or `every` is no number.
    """
    track = values.get("track")
    return FrameSettings(
        every=number_of(values, "every", 1),
        start=values.get("start"),
        end=values.get("end"),
        track=None if track is None else require_tracker(track),
    )


def _score(text: str) -> Threshold:
    value = plain_value("score_threshold", text, "score_threshold={dog: 0.4, cat: 0.5}")
    if value == PER_CLASS:
        return PER_CLASS
    scores = value.values() if isinstance(value, dict) else [value]
    if not all(isinstance(n, float | int) and n is not True and 0 <= n <= 1 for n in scores):
        raise UserError(
            f"score_threshold={text}: expected a score from 0 to 1, per_class, or scores by class "
            "name, such as {dog: 0.4, cat: 0.5}."
        )
    return cast("Threshold", value)


def _mask_format(text: str) -> MaskFormat:
    formats = get_args(MaskFormat)
    if text not in formats:
        raise UserError(f"mask_format={text}: expected {' or '.join(formats)}.")
    return cast("MaskFormat", text)


def _open(
    files: Sequence[Path], device: str, views: ViewSettings | None, tiling: Tiling | None
) -> Detector:
    return tiled(merged([FileMember(file, device).open() for file in files], views), tiling)
