"""One COCO annotation file as columns of numbers."""

from __future__ import annotations

import logging
import reprlib
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detkit.data.readers.coco_outlines import outline_box
from detkit.data.readers.coco_values import (
    NO_ID,
    ZEROS,
    TextIds,
    columns_of,
    four_numbers,
    is_set,
    number_or_nan,
    whole_number,
)
from detkit.data.readers.folder_checks import require_distinct
from detkit.data.readers.json_lists import UnreadableJsonError, read_object
from detkit.errors import DataError
from detkit.text import counted

LOGGER = logging.getLogger("detkit.data")
LISTS = ("images", "annotations", "categories")
_USED = {"id", "image_id", "category_id", "bbox", "area", "iscrowd", "ignore"}
_EMPTY: tuple[Any, ...] = (None, [], {}, "")
_NO_BOX = (*_EMPTY, ZEROS)


@dataclass
class CocoPage:
    """Columns of a COCO file that detection needs; Python objects would take five times the memory.

    Attributes:
        images: (id, file name, height, width) of each image, sizes 0 if missing.
        categories: (id, name) of each category.
        image_ids: Of each annotation its image.
        category_ids: Of each annotation its category.
        numbers: Of each annotation its own id.
        boxes: Of each annotation x, y, width, height; all NaN if they are not four numbers.
        areas: Of each annotation its area, or NaN.
        ignored: Of each annotation whether it is a crowd, or to be ignored.
        strange: Entries of `annotations` that are not JSON objects, as text.
        outlined: The rows of annotations without a bbox but with a segmentation.
        texts: Text ids of images, by the number that detkit assigns to them.
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
    outlined: list[int] = field(default_factory=list)
    texts: dict[int, str] = field(default_factory=dict)
    _image_texts: TextIds = field(default_factory=TextIds)
    _category_texts: TextIds = field(default_factory=TextIds)

    def add_image(self, entry: Any) -> None:
        """Take an entry of `images`.

        Raises:
            DataError: It has no file name, or no id that is a whole number or text.
        """
        self._require(entry, "images", "file_name")
        number = self._id(entry, "images", self._image_texts)
        size = (whole_number(entry.get(side)) for side in ("height", "width"))
        height, width = (length if 0 < length < 2**31 else 0 for length in size)
        self.images.append((number, entry["file_name"], height, width))

    def add_category(self, entry: Any) -> None:
        """Take an entry of `categories`.

        Raises:
            DataError: It has no name, or no id that is a whole number or text.
        """
        if isinstance(entry, dict) and isinstance(entry.get("name"), int | float | str):
            entry = {**entry, "name": str(entry["name"]).strip() or None}
        self._require(entry, "categories", "name")
        number = self._id(entry, "categories", self._category_texts)
        self.categories.append((number, entry["name"]))

    def add_annotations(self, entries: Sequence[Any]) -> None:
        """Take entries of `annotations`; their faults are reported when they are used."""
        try:
            columns = columns_of(entries)
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
        if entry.get("bbox") in _NO_BOX and entry.get("segmentation") not in _EMPTY:
            self.outlined.append(len(self.image_ids))
        self.image_ids.append(self._image_texts.number_of(entry.get("image_id")))
        self.category_ids.append(self._category_texts.number_of(entry.get("category_id")))
        self.numbers.append(whole_number(entry.get("id")))
        self.boxes.extend(four_numbers(entry.get("bbox")))
        self.areas.append(number_or_nan(entry.get("area")))
        self.ignored.append(is_set(entry.get("iscrowd")) or is_set(entry.get("ignore")))
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

    def _id(self, entry: dict[str, Any], key: str, texts: TextIds) -> int:
        number = texts.number_of(entry["id"])
        if number == NO_ID:
            raise DataError(
                f"'{self.file}': the id {entry['id']!r:.80} in '{key}' is neither a whole number "
                "nor text; renumber them, also in 'annotations'."
            )
        return number

    def renumber(self) -> None:
        """Number text ids after the numeric ids, in the order of the file."""
        if self._image_texts.numbers:
            final = self._image_texts.final_numbers([image[0] for image in self.images])
            self.images = [(final.get(image[0], image[0]), *image[1:]) for image in self.images]
            self.image_ids = array("q", (final.get(i, i) for i in self.image_ids))
            self.texts = {final[n]: text for text, n in self._image_texts.numbers.items()}
        if self._category_texts.numbers:
            final = self._category_texts.final_numbers([i for i, _ in self.categories])
            self.categories = [(final.get(i, i), name) for i, name in self.categories]
            self.category_ids = array("q", (final.get(i, i) for i in self.category_ids))

    def add_outlines(self, first: int, entries: Sequence[Any]) -> int:
        """Set the boxes of the rows in `outlined` from the segmentations of their entries.

        Args:
            first: The row of the first entry.
            entries: Entries of `annotations`, complete.

        Returns:
            The row after the last entry.
        """
        outlined, row = set(self.outlined), first
        for entry in filter(lambda entry: isinstance(entry, dict), entries):
            box = outline_box(entry.get("segmentation")) if row in outlined else None
            if box is not None:
                self.boxes[4 * row : 4 * row + 4] = array("d", box)
            row += 1
        return row


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
        if page.outlined:
            _read_outlines(page)
    except UnreadableJsonError as error:
        raise DataError(f"'{file}' cannot be read as COCO JSON: {error}. Replace it.") from error
    page.renumber()
    page.unused = +page.unused  # without zeros
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


def file_names_in(file: Path) -> set[str]:
    """The file names of the images in a COCO file; none if it cannot be read."""
    names: set[str] = set()

    def take(entries: Sequence[Any]) -> None:
        names.update(e["file_name"] for e in entries if isinstance(e, dict) and "file_name" in e)

    def pass_over(entries: Sequence[Any]) -> None:
        """Discard entries; a list without a taker would be held in memory as a whole."""

    takers = {"images": take, "annotations": pass_over, "categories": pass_over}
    try:
        read_object(file, takers, without="segmentation")
    except UnreadableJsonError:
        return set()
    return {name for name in names if isinstance(name, str)}


def _read_outlines(page: CocoPage) -> None:
    """Read the file again, with segmentations, for annotations without a bbox."""
    row = 0

    def take(entries: Sequence[Any]) -> None:
        nonlocal row
        row = page.add_outlines(row, entries)

    read_object(page.file, {"annotations": take})
    LOGGER.info(
        "%s: %s without a bbox; the box is the one around the segmentation",
        page.file,
        counted(len(page.outlined), "annotation"),
    )
