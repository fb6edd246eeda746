"""Compare two detectors on the same images: differences of AP and their confidence intervals.

Both detectors are measured on the same samples of images, so what makes an image hard for both
cancels out. The interval of the difference is therefore much narrower than the two intervals of the
detectors suggest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detkit.errors import DataError
from detkit.evaluation.bootstrap import (
    BootstrapSettings,
    Interval,
    Resampled,
    mean_of_classes,
    resampled_numbers,
)
from detkit.evaluation.coco_matches import CocoMatches
from detkit.evaluation.weighted_precision import WeightedPrecision
from detkit.text import counted, listed

_CHUNK = 64  # images that are left out at once


@dataclass(frozen=True)
class PairedNumber:
    """A number of two detectors.

    Attributes:
        first: Of the first detector.
        second: Of the second detector.
        interval: 95 % interval of the first minus the second.
    """

    first: float
    second: float
    interval: Interval

    @property
    def difference(self) -> float:
        """The first minus the second."""
        return self.first - self.second

    @property
    def exceeds_chance(self) -> bool:
        """Whether the interval excludes 0; false without an interval."""
        return bool(self.interval.low > 0 or self.interval.high < 0)


def align(first: CocoMatches, second: CocoMatches) -> tuple[CocoMatches, CocoMatches]:
    """Both matches for the classes that they have in common, in the first one's order.

    Raises:
        DataError: They are of different images or objects, or have no class in common.
    """
    if not np.array_equal(first.image_ids, second.image_ids):
        shared = len(np.intersect1d(first.image_ids, second.image_ids))
        raise DataError(
            f"the detectors were measured on different images: {len(first.image_ids):,} and "
            f"{len(second.image_ids):,}, of which {shared:,} have the same id. Measure both on the "
            "same data and split: add data.path=DATA and split=NAME."
        )
    names = [name for name in first.class_names if name in second.class_names]
    if not names:
        raise DataError(
            f"the detectors have no class in common: the first detects "
            f"{listed(first.class_names[:8])}, the second {listed(second.class_names[:8])}."
        )
    aligned = (of_classes(first, names), of_classes(second, names))
    for label, name in enumerate(names):
        counts = [np.sort(m.object_images[m.object_labels == label]) for m in aligned]
        if not np.array_equal(counts[0], counts[1]):
            raise DataError(
                f"the detectors were measured on different objects: {len(counts[0]):,} and "
                f"{len(counts[1]):,} of the class '{name}', or in other images. Measure both on "
                "the same data: add data.path=DATA."
            )
    return aligned


def of_classes(matches: CocoMatches, names: Sequence[str]) -> CocoMatches:
    """The matches of some classes, in the order of their names."""
    labels = [list(matches.class_names).index(name) for name in names]
    parts = [np.arange(*matches.ends[label : label + 2]) for label in labels]
    rows = np.concatenate([np.zeros(0, np.int64), *parts])
    new_label = np.full(len(matches.class_names), -1, np.int32)
    new_label[labels] = np.arange(len(labels))
    object_labels = new_label[matches.object_labels]
    objects = object_labels >= 0
    return CocoMatches(
        class_names=list(names),
        image_ids=matches.image_ids,
        ends=np.cumsum([0, *map(len, parts)]),
        images=matches.images[rows],
        correct=matches.correct[rows],
        counted=matches.counted[rows],
        object_images=matches.object_images[objects],
        object_labels=object_labels[objects],
        object_sizes=matches.object_sizes[objects],
    )


def paired_numbers(
    first: CocoMatches, second: CocoMatches, settings: BootstrapSettings, *, sizes: bool = True
) -> dict[str, PairedNumber]:
    """The numbers of two detectors, by name, with intervals of their differences.

    Args:
        first: The matches of one detector; see `align`.
        second: The matches of the other one.
        settings: How images are drawn, the same ones for both.
        sizes: Whether to compare the APs of small, medium and large objects too.
    """
    numbers_of_first, numbers_of_second = (
        resampled_numbers(m, settings, sizes=sizes) for m in (first, second)
    )
    numbers = {}
    for name, (estimate, samples) in numbers_of_first.items():
        difference = Resampled(
            estimate - numbers_of_second[name].estimate, samples - numbers_of_second[name].samples
        )
        numbers[name] = PairedNumber(
            estimate, numbers_of_second[name].estimate, difference.percentiles()
        )
    return numbers


def image_effects(first: CocoMatches, second: CocoMatches) -> NDArray[np.float64]:
    """(I,) how much each image changes the difference of AP: with it, minus without it.

    Positive values favour the first detector. An image without which nothing is left has NaN.
    """
    images = len(first.image_ids)
    differences = np.zeros(images + 1)  # without each image, then with all
    for matches, sign in ((first, 1), (second, -1)):
        precision = WeightedPrecision(matches, sizes=False)
        for start in range(0, images + 1, _CHUNK):
            positions = np.arange(start, min(start + _CHUNK, images + 1))
            weights = 1 - (positions[:, None] == np.arange(images)).astype(np.int32)
            average = mean_of_classes(precision(weights))[:, 0]
            differences[positions] += sign * average
    effects: NDArray[np.float64] = differences[-1] - differences[:-1]
    return effects


def verdict(number: PairedNumber, names: tuple[str, str], metric: str = "AP") -> str:
    """One sentence: which detector is better by how much, or that chance explains it."""
    low, high = number.interval
    if not np.isfinite([number.difference, low, high]).all():
        return f"{metric} of {names[0]} and {names[1]} cannot be compared: there are no objects."
    if not number.exceeds_chance:
        return (
            f"no difference beyond chance: {names[0]} minus {names[1]} is "
            f"{number.difference:+.3f} {metric}, 95 % interval {low:+.3f} to {high:+.3f}"
        )
    better, worse = names if number.difference > 0 else names[::-1]
    low, high = sorted((abs(low), abs(high)))
    return (
        f"{better} is better than {worse} by {abs(number.difference):.3f} {metric}, 95 % interval "
        f"{low:.3f} to {high:.3f}"
    )


def correction_note(comparisons: int) -> str:
    """What several comparisons mean for their intervals; empty for a single one."""
    if comparisons == 1:
        return ""
    return (
        f"{counted(comparisons, 'comparison')}, without a correction: of 20 detectors that equal "
        "the first one, about one seems to differ."
    )
