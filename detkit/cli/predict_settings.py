"""The settings of `detkit predict`, of a run or of an exported file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, cast, get_args

from detkit.api.detector import Detector
from detkit.api.exported_backend import ExportedBackend
from detkit.cli.exported_words import exported_options, number_of
from detkit.errors import UserError
from detkit.evaluation.results_file import MaskFormat

_OPTIONS = ("source", "output", "score_threshold", "mask_format", "batch_size", "device")


class PredictSettings(NamedTuple):
    """What `detkit predict` was asked for.

    Attributes:
        source: A file, a folder or a pattern.
        output: Folder for the pictures and detections.json.
        score_threshold: The minimum score, or None for the detector's.
        mask_format: How detections.json stores masks.
        batch_size: Images per forward pass.
        open_detector: Loads the detector.
    """

    source: str
    output: str
    score_threshold: float | None
    mask_format: MaskFormat
    batch_size: int
    open_detector: Callable[[], Detector]


def exported_settings(file: Path, words: Sequence[str]) -> PredictSettings:
    """The settings for an exported file.

    Raises:
        UserError: A word is no option, or its value does not fit.
    """
    values = exported_options("predict", file, words, _OPTIONS)
    if "source" not in values:
        raise UserError("detkit predict needs source=FILE, FOLDER or 'PATTERN'.")
    threshold = values.get("score_threshold")
    return PredictSettings(
        source=values["source"],
        output=values.get("output", "predictions"),
        score_threshold=None if threshold is None else _score(threshold),
        mask_format=_mask_format(values.get("mask_format", "rle")),
        batch_size=number_of(values, "batch_size", 1),
        open_detector=partial(_open, file, values.get("device", "auto")),
    )


def _score(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise UserError(f"score_threshold={text}: expected a score from 0 to 1.")
    return value


def _mask_format(text: str) -> MaskFormat:
    formats = get_args(MaskFormat)
    if text not in formats:
        raise UserError(f"mask_format={text}: expected {' or '.join(formats)}.")
    return cast("MaskFormat", text)


def _open(file: Path, device: str) -> Detector:
    backend = ExportedBackend(file, device=device)
    print(f"engine: {backend.engine.description}", file=sys.stderr)
    return Detector(backend)
