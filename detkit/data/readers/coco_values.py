"""Parse the values of COCO entries (ids, boxes, flags) from any JSON type."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

from detkit.data.readers.boolean_flags import is_true

_CORNERS = 4
_LARGEST = 2**63 - 1
NO_ID = -_LARGEST  # marks a missing or invalid id
_TEXT_ID = -(2**62)  # text ids get numbers from here down until the whole file is read
ZEROS = [0] * _CORNERS  # some tools write this in place of a box


class TextIds:
    """Numbers for text ids, such as "000001.jpg".

    Attributes:
        numbers: The provisional number of each text, in order of appearance.
    """

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def number_of(self, value: Any) -> int:
        """A whole number, or the provisional number of a text; `NO_ID` for anything else."""
        number = whole_number(value)
        if number == NO_ID and isinstance(value, str) and value.strip():
            return self.numbers.setdefault(value.strip(), _TEXT_ID - len(self.numbers))
        return number

    def final_numbers(self, listed: Sequence[int]) -> dict[int, int]:
        """Map each provisional number to a final one above all numeric ids.

        Args:
            listed: The ids of all images or categories, in the order of the file.
        """
        free = max([0, *(number for number in listed if number > _TEXT_ID)]) + 1
        in_order = dict.fromkeys([*(n for n in listed if n <= _TEXT_ID), *self.numbers.values()])
        in_order.pop(NO_ID, None)
        return {number: free + position for position, number in enumerate(in_order)}


class Columns(NamedTuple):
    """Annotations in columns, as CocoPage has them."""

    image_ids: array[int]
    category_ids: array[int]
    numbers: array[int]
    boxes: array[float]
    areas: array[float]
    ignored: array[int]


def columns_of(entries: Sequence[Any]) -> Columns:
    """The columns of well-formed entries.

    Raises:
        AttributeError, KeyError, OverflowError, TypeError, ValueError: An entry is malformed.
    """
    boxes = [entry["bbox"] for entry in entries]
    corners = list(chain.from_iterable(boxes))
    areas = [entry["area"] for entry in entries]
    ids = [[e[key] for e in entries] for key in ("image_id", "category_id", "id")]
    kinds = set(map(type, chain(corners, areas)))
    if (
        set(map(type, boxes)) != {list}
        or set(map(len, boxes)) != {_CORNERS}
        or not kinds <= {int, float}
        or set(map(type, chain.from_iterable(ids))) != {int}
        or min(map(min, ids)) <= _TEXT_ID
        or ZEROS in boxes
    ):
        raise ValueError("malformed entry")
    ignored = (is_set(e.get("iscrowd")) or is_set(e.get("ignore")) for e in entries)
    image_ids, category_ids, numbers = (array("q", column) for column in ids)
    return Columns(
        image_ids,
        category_ids,
        numbers,
        array("d", corners),
        array("d", areas),
        array("b", ignored),
    )


def whole_number(value: Any) -> int:
    """A whole number, also as text ("7") or as a float (7.0); NO_ID for anything else."""
    if type(value) is int and -_LARGEST <= value <= _LARGEST:  # the usual case first
        return value
    try:
        number = int(value) if isinstance(value, int | str) else float(value)
    except (TypeError, ValueError):
        return NO_ID
    if isinstance(number, float):
        number = int(number) if number.is_integer() else NO_ID
    return number if abs(number) <= _LARGEST else NO_ID


def four_numbers(value: Any) -> tuple[float, float, float, float]:
    """The numbers of a bbox, even as text; all NaN if they are not four numbers."""
    nothing = (math.nan, math.nan, math.nan, math.nan)
    if not isinstance(value, list) or len(value) != _CORNERS:
        return nothing
    try:
        x, y, width, height = float(value[0]), float(value[1]), float(value[2]), float(value[3])
    except (TypeError, ValueError, OverflowError):
        return nothing
    return x, y, width, height


def number_or_nan(value: Any) -> float:
    """A number, also from text; NaN for anything else."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def is_set(value: Any) -> bool:
    """Whether a flag such as iscrowd is set: 1, true, "1" or "true"."""
    return value == 1 or (isinstance(value, str) and is_true(value))
