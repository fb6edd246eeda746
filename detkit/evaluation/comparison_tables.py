"""A comparison of two detectors as tables, for a terminal and for files."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.evaluation.bootstrap import LEVEL, BootstrapSettings
from detkit.evaluation.paired_comparison import PairedNumber
from detkit.evaluation.weighted_precision import COLUMNS
from detkit.text import align_columns, counted

_MARK = "*"
_MOST_CLASSES = 20  # in the terminal; the file has all


@dataclass(frozen=True)
class PairedComparison:
    """The comparison of two detectors. I images.

    Attributes:
        names: The detectors.
        settings: How images were drawn.
        classes: The classes that both detect.
        numbers: AP and so on, over the classes that both detect.
        mask_numbers: The same of masks; empty if not both have them.
        image_ids: (I,)
        image_names: The I files.
        effects: (I,) how much each image changes the difference of AP.
    """

    names: tuple[str, str]
    settings: BootstrapSettings
    classes: Sequence[str]
    numbers: Mapping[str, PairedNumber]
    mask_numbers: Mapping[str, PairedNumber]
    image_ids: Sequence[int]
    image_names: Sequence[str]
    effects: NDArray[np.float64]

    def largest_effects(self, count: int) -> list[int]:
        """Positions of the images that change the difference most; images of no effect excluded."""
        size = np.nan_to_num(np.abs(self.effects))
        order = np.argsort(-size, kind="stable")[:count]
        return [int(position) for position in order if size[position] > 0]

    def classes_by_difference(self) -> list[str]:
        """The classes that have objects, the largest difference first."""
        measured = [n for n in self.classes if math.isfinite(self.numbers[f"AP/{n}"].difference)]
        return sorted(measured, key=lambda n: -abs(self.numbers[f"AP/{n}"].difference))


def comparison_lines(comparison: PairedComparison, images: int) -> list[str]:
    """The tables of numbers, classes and images for a terminal.

    Args:
        comparison: The comparison.
        images: How many images to list.
    """
    numbers, masks = comparison.numbers, comparison.mask_numbers
    rows = [_row(name, numbers[name]) for name in COLUMNS if _is_measured(numbers[name])]
    rows += [_row(f"mask_{n}", masks[n]) for n in COLUMNS if n in masks and _is_measured(masks[n])]
    classes = comparison.classes_by_difference()
    class_rows = [_row(name, numbers[f"AP/{name}"]) for name in classes[:_MOST_CLASSES]]
    lines = _table(["", *comparison.names], rows)
    lines += ["", *_table(["class (AP)", *comparison.names], class_rows)]
    if len(classes) > _MOST_CLASSES:
        lines.append(f"and {counted(len(classes) - _MOST_CLASSES, 'class')} with less difference")
    if any(cells[-1] == _MARK for cells in [*rows, *class_rows]):
        lines.append(
            f"{_MARK} the 95 % interval excludes 0; 1 in 20 equal classes has it by chance"
        )
    positions = comparison.largest_effects(images)
    if positions:
        image_rows = [
            [comparison.image_names[p], f"{comparison.effects[p]:+.4f}"] for p in positions
        ]
        lines += ["", "images that change the difference of AP most (with it, minus without it)"]
        lines += align_columns(image_rows, [1])
    return lines


def _table(heads: list[str], rows: list[list[str]]) -> list[str]:
    heads = [*heads, "difference", "95 % interval", ""]
    return align_columns([heads, *rows], range(1, len(heads) - 1), longest=32)


def _is_measured(number: PairedNumber) -> bool:
    return math.isfinite(number.difference)


def _row(name: str, number: PairedNumber) -> list[str]:
    low, high = number.interval
    has_interval = math.isfinite(low)
    return [
        name,
        f"{number.first:.3f}",
        f"{number.second:.3f}",
        f"{number.difference:+.3f}",
        f"{low:+.3f} to {high:+.3f}" if has_interval else "",
        _MARK if number.exceeds_chance else "",
    ]


def comparison_content(comparison: PairedComparison) -> dict[str, Any]:
    """A comparison as plain values for JSON; NaN stays NaN."""
    return {
        "first": comparison.names[0],
        "second": comparison.names[1],
        "level": LEVEL,
        "samples": comparison.settings.samples,
        "seed": comparison.settings.seed,
        "images": len(comparison.image_ids),
        "numbers": {name: _content(number) for name, number in comparison.numbers.items()},
        "mask_numbers": {name: _content(n) for name, n in comparison.mask_numbers.items()},
    }


def _content(number: PairedNumber) -> dict[str, Any]:
    return {
        "first": number.first,
        "second": number.second,
        "difference": number.difference,
        "low": number.interval.low,
        "high": number.interval.high,
        "exceeds_chance": number.exceeds_chance,
    }


def images_csv(comparison: PairedComparison) -> str:
    """All images, those that change the difference of AP most first."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image_id", "file_name", "effect"])
    for position in np.argsort(-np.nan_to_num(np.abs(comparison.effects)), kind="stable"):
        writer.writerow([
            comparison.image_ids[position],
            comparison.image_names[position],
            round(float(comparison.effects[position]), 6),
        ])  # fmt: skip
    return text.getvalue()
