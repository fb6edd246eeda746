"""The confidence intervals of a metric's numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from detkit.errors import UserError
from detkit.evaluation.bootstrap import (
    LEVEL,
    BootstrapSettings,
    Interval,
    resampled_numbers,
)
from detkit.evaluation.coco_metric import CocoMetric
from detkit.text import counted, listed

_FEW_IMAGES = 100  # below, scripts/inference/intervals.py measured intervals that are too narrow


@dataclass(frozen=True)
class MetricIntervals:
    """The intervals of a metric's numbers.

    Attributes:
        settings: How images were drawn.
        images: How many images were measured, and drawn for each sample.
        by_name: The interval of each number that has one.
        partial: The share of the samples that have a number, where some have no object for it.
    """

    settings: BootstrapSettings
    images: int
    by_name: Mapping[str, Interval]
    partial: Mapping[str, float]

    def numbers(self) -> dict[str, float]:
        """The ends as flat numbers: `AP_low`, `AP_high`, and `AP_low/dog` for a class."""
        flat = {}
        for name, interval in self.by_name.items():
            kind, separator, class_name = name.partition("/")
            flat[f"{kind}_low{separator}{class_name}"] = interval.low
            flat[f"{kind}_high{separator}{class_name}"] = interval.high
        return flat

    def content(self) -> dict[str, Any]:
        """How the intervals were computed, for JSON."""
        return {
            "level": LEVEL,
            "method": "bootstrap over images, bias-corrected percentiles",
            "samples": self.settings.samples,
            "seed": self.settings.seed,
            "images": self.images,
            "share_of_samples_with_objects": dict(self.partial),
        }

    def notes(self) -> list[str]:
        """Lines on how to read the intervals."""
        lines = [
            f"95 % intervals: {self.settings.samples:,} samples of "
            f"{counted(self.images, 'image')}, drawn again with replacement. "
            "Another training may differ by more."
        ]
        if self.images < _FEW_IMAGES:
            lines.append(
                f"With {counted(self.images, 'image')} the intervals are too narrow: see "
                "docs/confidence.md."
            )
        rare = [name for name, share in self.partial.items() if share < LEVEL and "/" in name]
        classes = list(dict.fromkeys(name.partition("/")[2] for name in rare))
        if classes:
            lines.append(
                f"Some samples have no object of {listed(classes)}, whose intervals come from the "
                "other samples."
            )
        return lines


def interval_settings(value: Any, metric: Any) -> BootstrapSettings | None:
    """The settings of `intervals=...`; None for no intervals.

    Raises:
        UserError: The settings are wrong, or the metric has no intervals.
    """
    settings = BootstrapSettings.of(value)
    if settings is not None and not isinstance(metric, CocoMetric):
        raise UserError(
            f"intervals: {type(metric).__name__} has no intervals; choose metric=coco, or leave "
            "intervals out."
        )
    return settings


def metric_intervals(metric: CocoMetric, settings: BootstrapSettings) -> MetricIntervals:
    """Draw the metric's images again, and return the interval of each AP."""
    by_name, partial = {}, {}
    for prefix, matches in metric.matches().items():
        for name, resampled in resampled_numbers(matches, settings).items():
            by_name[f"{prefix}{name}"] = resampled.interval()
            share = float(np.isfinite(resampled.samples).mean())
            if 0 < share < 1:
                partial[f"{prefix}{name}"] = share
    return MetricIntervals(settings, len(metric.images.by_id()), by_name, partial)
