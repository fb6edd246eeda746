"""One COCO annotation file as columns of numbers."""

from __future__ import annotations

import math
import reprlib
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from detkit.data.readers.folders import require_distinct
from detkit.data.readers.json_lists import UnreadableJsonError, read_object
from detkit.errors import DataError

LISTS = ("images", "annotations", "categories")
_USED = {"id", "image_id", "category_id", "bbox", "area", "iscrowd", "ignore"}
_CORNERS = 4
_EMPTY: tuple[Any, ...] = (None, [], {}, "")
_LARGEST = 2**63 - 1
NO_ID = -_LARGEST  # stands for an id that is missing or no whole number


@dataclass
class CocoPage:
    """What detection needs of a file, in columns: as Python objects it would be five times larger.

    Attributes:
        images: (id, file name, height, width) of each image, sizes 0 where they are missing.
        categories: (id, name) of each category.
        image_ids: Of each annotation its image.
        category_ids: Of each annotation its category.
        numbers: Of each annotation its own id.
        boxes: Of each annotation x, y, width, height; all NaN where they are no four numbers.
        areas: Of each annotation its area, or NaN.
        ignored: Of each annotation whether it is a crowd, or to be ignored.
        strange: What entries of `annotations` are where they are no objects.
        unused: How many annotations have each value that detkit has no use for.
    """

    file: Path
    images: list[tuple[int, str, int, int]] = field(default_factory=list)
    categories: list[tuple[int, str]] = field(default_factory=list)
    image_ids: array[int] = field(default_factory=lambda: array("q"))
    category_ids: array[int] = field(default_factory=lambda: array("q"))
    numbers: array[int] = field(default_factory=lambda: array("q"))
    boxes: array[float] = field(default_factory=lambda: array("d"))
    areas: array[float] = field(default_factory=lambda: array("d"))
    ignored: array[int] = field(default_factory=lambda: array("b"))
    strange: list[str] = field(default_factory=list)
    unused: Counter[str] = field(default_factory=Counter)

    def add_image(self, entry: Any) -> None:
        """Take an entry of `images`.

        Raises:
            DataError: It has no file name, or no id that is a whole number.
        """
        self._require(entry, "images", "file_name")
        size = (whole_number(entry.get(side)) for side in ("height", "width"))
        height, width = (length if 0 < length < 2**31 else 0 for length in size)
        self.images.append((self._id(entry, "images"), entry["file_name"], height, width))

    def add_category(self, entry: Any) -> None:
        """Take an entry of `categories`.

        Raises:
            DataError: It has no name, or no id that is a whole number.
        """
        if isinstance(entry, dict) and isinstance(entry.get("name"), int | float):
            entry = {**entry, "name": str(entry["name"])}
        self._require(entry, "categories", "name")
        self.categories.append((self._id(entry, "categories"), entry["name"]))

    def add_annotations(self, entries: Sequence[Any]) -> None:
        """Take entries of `annotations`; what is wrong with them is told when they are used."""
        try:
            columns = _columns(entries)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            for entry in entries:  # something is unusual, so with care
                self._add_annotation(entry)
            return
        self.image_ids += columns.image_ids
        self.category_ids += columns.category_ids
        self.numbers += columns.numbers
        self.boxes += columns.boxes
        self.areas += columns.areas
        self.ignored += columns.ignored
        for key in set().union(*entries) - _USED:
            self.unused[key] += sum(entry.get(key) not in _EMPTY for entry in entries)

    def _add_annotation(self, entry: Any) -> None:
        if not isinstance(entry, dict):
            self.strange.append(reprlib.repr(entry))
            return
        self.image_ids.append(whole_number(entry.get("image_id")))
        self.category_ids.append(whole_number(entry.get("category_id")))
        self.numbers.append(whole_number(entry.get("id")))
        self.boxes.extend(_four_numbers(entry.get("bbox")))
        self.areas.append(_number(entry.get("area")))
        self.ignored.append(_truth(entry.get("iscrowd")) or _truth(entry.get("ignore")))
        for key, value in entry.items():
            if key not in _USED and value not in _EMPTY:
                self.unused[key] += 1

    def add_images(self, entries: Sequence[Any]) -> None:
        """Take entries of `images`; see `add_image`."""
        for entry in entries:
            self.add_image(entry)

    def add_categories(self, entries: Sequence[Any]) -> None:
        """Take entries of `categories`; see `add_category`."""
        for entry in entries:
            self.add_category(entry)

    def _require(self, entry: Any, key: str, name: str) -> None:
        if not isinstance(entry, dict) or "id" not in entry or not isinstance(entry.get(name), str):
            raise DataError(
                f"'{self.file}': an entry of '{key}' lacks id or {name}: {reprlib.repr(entry)}; "
                "add what is missing."
            )

    def _id(self, entry: dict[str, Any], key: str) -> int:
        number = whole_number(entry["id"])
        if number == NO_ID:
            raise DataError(
                f"'{self.file}': the id {entry['id']!r:.80} in '{key}' is no whole number; "
                "renumber them, also in 'annotations'."
            )
        return number


def read_page(file: Path) -> CocoPage:
    """The columns of a COCO file.

    Raises:
        DataError: It is no JSON, no object-detection file, or its categories do not tell classes.
    """
    page = CocoPage(file)
    takers = dict(
        zip(LISTS, (page.add_images, page.add_annotations, page.add_categories), strict=True)
    )
    try:
        kinds = read_object(file, takers, without="segmentation")
    except UnreadableJsonError as error:
        raise DataError(f"'{file}' cannot be read as COCO JSON: {error}. Replace it.") from error
    missing = [
        f"{key} ({kinds[key]})" if key in kinds else key
        for key in LISTS
        if kinds.get(key) != "list"
    ]
    if missing:
        raise DataError(
            f"'{file}' is no COCO object-detection file: it has no list {', '.join(missing)}. Name "
            "the right files in data.reader.annotations."
        )
    if not page.categories:
        raise DataError(f"'{file}' has no categories, so there is nothing to detect.")
    page.categories.sort()
    ids = Counter(number for number, _ in page.categories)
    twice = [f"{number} ({name})" for number, name in page.categories if ids[number] > 1]
    if twice:
        raise DataError(
            f"'{file}' gives several categories one id: {', '.join(twice)}; give each its own."
        )
    require_distinct(file, [name for _, name in page.categories])
    return page


class _Columns(NamedTuple):
    """Annotations in columns, as CocoPage has them."""

    image_ids: array[int]
    category_ids: array[int]
    numbers: array[int]
    boxes: array[float]
    areas: array[float]
    ignored: array[int]


def _columns(entries: Sequence[Any]) -> _Columns:
    """The columns of entries that are all as they should be.

    Raises:
        AttributeError, KeyError, OverflowError, TypeError, ValueError: One of them is not.
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
        or min(map(min, ids)) < -_LARGEST
    ):
        raise ValueError("not as it should be")
    ignored = (_truth(e.get("iscrowd")) or _truth(e.get("ignore")) for e in entries)
    image_ids, category_ids, numbers = (array("q", column) for column in ids)
    return _Columns(
        image_ids,
        category_ids,
        numbers,
        array("d", corners),
        array("d", areas),
        array("b", ignored),
    )


def whole_number(value: Any) -> int:
    """A whole number, also as text ("7") or with a point (7.0); NO_ID for anything else."""
    if type(value) is int and -_LARGEST <= value <= _LARGEST:  # nearly always, so first
        return value
    try:
        number = int(value) if isinstance(value, int | str) else float(value)
    except (TypeError, ValueError):
        return NO_ID
    if isinstance(number, float):
        number = int(number) if number.is_integer() else NO_ID
    return number if abs(number) <= _LARGEST else NO_ID


def _four_numbers(value: Any) -> tuple[float, float, float, float]:
    nothing = (math.nan, math.nan, math.nan, math.nan)
    if not isinstance(value, list) or len(value) != _CORNERS:
        return nothing
    try:
        x, y, width, height = float(value[0]), float(value[1]), float(value[2]), float(value[3])
    except (TypeError, ValueError, OverflowError):
        return nothing
    return x, y, width, height


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _truth(value: Any) -> bool:
    return value in (1, "1")  # true is 1
