"""Content for loggers that show more than numbers, such as W&B and TensorBoard."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import lightning.pytorch as pl

from detkit.structures.analysis import Analysis
from detkit.training.callbacks.pictures import Pictures, ValidationPicture
from detkit.training.module import detection_module

_PREFIX = "val/"


@dataclass(frozen=True)
class ClassScores:
    """The numbers of each class, as a table.

    Attributes:
        columns: Names of the numbers, such as AP and AP50.
        rows: The numbers of each class name; None if the metric has no number.
    """

    columns: list[str]
    rows: dict[str, list[float | None]]


@dataclass(frozen=True)
class TrainingResult:
    """The result of a finished training.

    Attributes:
        numbers: The metric's numbers of the best checkpoint.
        class_names: Names of the C classes, in label order.
        analysis: Curves and errors of the best checkpoint.
        checkpoint: The best checkpoint.
        epoch: Its epoch, counted from 1.
        pictures: Files of the drawn analysis.
    """

    numbers: Mapping[str, float]
    class_names: list[str]
    analysis: Analysis
    checkpoint: Path
    epoch: int
    pictures: list[Path]


@runtime_checkable
class Tracker(Protocol):
    """A logger that accepts pictures, tables and results. Every logger gets the configuration."""

    def log_pictures(
        self, pictures: Sequence[ValidationPicture], class_names: list[str], step: int
    ) -> None:
        """Show validation images with their objects and detections."""

    def log_classes(self, scores: ClassScores, step: int) -> None:
        """Show the numbers of each class of a validation."""

    def log_result(self, result: TrainingResult, step: int) -> None:
        """Show the result of a finished training."""


class Tracking(pl.Callback):
    """Passes configuration, pictures and class scores to the loggers; part of every training."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Send the whole configuration, so that runs can be distinguished and plotted by key."""
        record = detection_module(pl_module).checkpoint_record
        for logger in trainer.loggers:
            logger.log_hyperparams(dict(record.get("config", {})))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Send the pictures and the numbers of each class."""
        trackers = [logger for logger in trainer.loggers if isinstance(logger, Tracker)]
        if not trackers or trainer.sanity_checking or not trainer.is_global_zero:
            return
        record = detection_module(pl_module).checkpoint_record
        names = record.get("class_names", [])
        numbers = {
            name.removeprefix(_PREFIX): float(value)
            for name, value in trainer.callback_metrics.items()
            if name.startswith(_PREFIX)
        }
        scores = class_scores(numbers, names)
        samples = [c.samples() for c in trainer.callbacks if isinstance(c, Pictures)]  # type: ignore[attr-defined]
        for tracker in trackers:
            if scores.columns:
                tracker.log_classes(scores, trainer.global_step)
            for pictures in samples:
                tracker.log_pictures(pictures, names, trainer.global_step)


def log_result(trainer: pl.Trainer, result: TrainingResult) -> None:
    """Pass the result of a training to its loggers."""
    for logger in trainer.loggers:
        if isinstance(logger, Tracker):
            logger.log_result(result, trainer.global_step)


def class_scores(numbers: Mapping[str, float], class_names: Sequence[str]) -> ClassScores:
    """The numbers of a metric with names such as `AP/CLASS`, by class."""
    names = set(class_names)
    kinds = dict.fromkeys(
        kind for kind, _, name in (key.partition("/") for key in numbers) if name in names
    )
    rows = {
        name: [finite(numbers.get(f"{kind}/{name}", math.nan)) for kind in kinds]
        for name in class_names
    }
    return ClassScores(list(kinds), rows)


def finite(value: float) -> float | None:
    """A number for a table; None in place of NaN and infinity."""
    return float(value) if math.isfinite(value) else None


def flattened(config: Mapping[str, Any], prefix: str = "") -> dict[str, bool | int | float | str]:
    """A configuration by dotted path, with plain values: `optimizer.learning_rate: 0.01`."""
    flat: dict[str, bool | int | float | str] = {}
    for key, value in config.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat.update(flattened(value, f"{path}."))
        else:
            flat[path] = value if isinstance(value, bool | int | float | str) else str(value)
    return flat
