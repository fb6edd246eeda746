"""Confidence intervals of AP: the images are drawn again, with replacement, many times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from detkit.errors import UserError, did_you_mean
from detkit.evaluation.coco_matches import CocoMatches
from detkit.evaluation.weighted_precision import COLUMNS, WeightedPrecision, resampled_weights

Values = NDArray[np.float64]
LEVEL = 0.95  # of all intervals
_FEWEST_SAMPLES = 100  # with fewer, the ends of an interval are mostly noise
_KEYS = ("samples", "seed")


@dataclass(frozen=True)
class BootstrapSettings:
    """How images are drawn again.

    Attributes:
        samples: How many sets of images to draw; each is as large as the measured one.
        seed: Seed of the draws.
    """

    samples: int = 1000
    seed: int = 0

    @staticmethod
    def of(value: Any = None) -> BootstrapSettings | None:
        """The settings of `intervals=...`; None for no intervals.

        Args:
            value: True, false, or a mapping such as `{samples: 1000, seed: 0}`.

        Raises:
            UserError: It is something else, a key is unknown or a number is out of range.
        """
        if value is None or isinstance(value, bool):
            return BootstrapSettings() if value else None
        if not isinstance(value, Mapping) or not all(type(n) is int for n in value.values()):
            raise UserError(
                f"intervals={value}: expected true, false or whole numbers, such as "
                "{samples: 1000, seed: 0}."
            )
        unknown = [key for key in value if key not in _KEYS]
        if unknown:
            raise UserError(
                f"intervals.{unknown[0]}: there is no such setting."
                f"{did_you_mean(unknown[0], _KEYS)} Write intervals=true, or "
                "intervals={samples: 1000, seed: 0}."
            )
        settings = BootstrapSettings(**value)
        if settings.samples < _FEWEST_SAMPLES:
            raise UserError(
                f"intervals.samples={settings.samples}: the ends of a 95 % interval need "
                f"{_FEWEST_SAMPLES} samples or more; 1000 is the default."
            )
        return settings


class Interval(NamedTuple):
    """A 95 % interval (`LEVEL`)."""

    low: float
    high: float


class Resampled(NamedTuple):
    """A number on the measured images and on B samples of them; NaN without objects."""

    estimate: float
    samples: Values

    def interval(self) -> Interval:
        """The bias-corrected percentile interval of Efron (1981); NaN without any sample.

        For a number of one detector; for differences see `percentiles`.

        Small data sets have a higher AP than the population that they come from, and samples of
        them a higher one still. The plain percentiles are then too high; the correction moves them
        by the share of samples below the estimate. scripts/inference/intervals.py measures both.
        """
        valid = self._valid()
        if not len(valid):
            return Interval(np.nan, np.nan)
        below = (np.mean(valid < self.estimate) + np.mean(valid <= self.estimate)) / 2
        bias = ndtri(np.clip(below, 1 / len(valid), 1 - 1 / len(valid)))
        ends = ndtr(2 * bias + ndtri([(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
        low, high = np.quantile(valid, ends)
        return Interval(float(low), float(high))

    def percentiles(self) -> Interval:
        """The middle 95 % of the samples; NaN without any.

        For a difference of two detectors, in which the bias cancels out, a correction adds noise.
        """
        valid = self._valid()
        if not len(valid):
            return Interval(np.nan, np.nan)
        low, high = np.quantile(valid, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return Interval(float(low), float(high))

    def _valid(self) -> Values:
        """The samples that have a number; none if the measured images have none."""
        valid: Values = self.samples[~np.isnan(self.samples)]
        return valid[:0] if np.isnan(self.estimate) else valid


def resampled_numbers(
    matches: CocoMatches, settings: BootstrapSettings, *, sizes: bool = True
) -> dict[str, Resampled]:
    """The numbers of each sample of images, by name.

    A class without objects in a sample has no AP there and does not count in that sample's means,
    as in COCO's own numbers.

    Args:
        matches: The matches of the measured images.
        settings: How to draw.
        sizes: Whether to compute the APs of small, medium and large objects too.
    """
    precision = WeightedPrecision(matches, sizes=sizes)
    images = len(matches.image_ids)
    draws = resampled_weights(images, settings.samples, settings.seed)
    chunks = [precision(weights) for weights in (np.ones((1, images), np.int32), *draws)]
    return {
        name: Resampled(float(values[0]), values[1:])
        for name, values in named_numbers(np.concatenate(chunks), matches.class_names).items()
    }


def named_numbers(values: Values, class_names: Sequence[str]) -> dict[str, Values]:
    """Numbers over all classes and of each class, named as metrics name them.

    Args:
        values: (B, C, 6) as `WeightedPrecision` returns them.
        class_names: The C names, in label order.
    """
    numbers = dict(zip(COLUMNS, mean_of_classes(values).T, strict=True))
    for label, name in enumerate(class_names):
        numbers[f"AP/{name}"], numbers[f"AP50/{name}"] = values[:, label, :2].T
    return numbers


def mean_of_classes(values: Values) -> Values:
    """(B, 6) means of (B, C, 6) over the classes that have objects; NaN if none has."""
    counts = (~np.isnan(values)).sum(axis=1)
    sums = np.nansum(values, axis=1)
    means: Values = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    return means
