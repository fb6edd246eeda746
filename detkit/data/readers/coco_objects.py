"""The annotations of a COCO file, image by image."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from detkit.data.index import LARGEST_AREA, ROUNDING, THIN, Annotation, IndexBuilder
from detkit.data.readers.coco_columns import CocoPage
from detkit.data.readers.coco_values import NO_ID

_ROWS = 2**14  # rows at a time, to save memory


class Objects:
    """The annotations of a COCO file by image; annotations of unlisted images remain.

    If all annotations of an image are valid, they are added to the index as arrays, which takes a
    tenth of the time; otherwise they are checked one by one.
    """

    def __init__(self, page: CocoPage) -> None:
        self.page = page
        self.label_of = {number: label for label, (number, _) in enumerate(page.categories)}
        image_ids = np.asarray(page.image_ids, dtype=np.int64)
        self.order = np.argsort(image_ids, kind="stable")
        image_ids = image_ids[self.order]
        ids, starts = np.unique(image_ids, return_index=True)
        stops = np.append(starts, len(image_ids))[1:]
        spans = zip(starts.tolist(), stops.tolist(), strict=True)
        self.spans = dict(zip(ids.tolist(), spans, strict=True))
        self.labels = self._labels()
        self.boxes, plain = _boxes(page, self.order, image_ids)
        plain &= self.labels >= 0
        plain &= _told_apart(np.asarray(page.numbers, dtype=np.int64)[self.order])
        self.ignored = np.asarray(page.ignored, dtype=np.int8)[self.order]
        areas = np.asarray(page.areas, dtype=np.float64)[self.order]
        areas[~((areas > 0) & (areas < LARGEST_AREA))] = np.nan
        self.areas = areas.astype(np.float32)
        passed = np.append(0, np.cumsum(~plain))
        self.plain = dict(zip(ids.tolist(), passed[stops] == passed[starts], strict=True))

    def _labels(self) -> NDArray[np.int64]:
        """The label of each annotation in order, -1 for an unknown category."""
        numbers = np.array(sorted(self.label_of), dtype=np.int64)
        labels = np.array([self.label_of[number] for number in numbers.tolist()], dtype=np.int64)
        category_ids = np.asarray(self.page.category_ids, dtype=np.int64)[self.order]
        positions = np.searchsorted(numbers, category_ids).clip(max=len(numbers) - 1)
        return np.where(numbers[positions] == category_ids, labels[positions], -1)

    def _take(self, image_id: int) -> list[int]:
        start, stop = self.spans.pop(image_id, (0, 0))
        return list(self.order[start:stop].tolist())

    def pass_over(self, image_id: int) -> None:
        """Skip the annotations of an unused image."""
        self.spans.pop(image_id, None)

    def add_of(self, builder: IndexBuilder, image_id: int) -> None:
        """Add the annotations of the image that the builder has just taken."""
        if builder.turned or not self.plain.get(image_id, False):
            self._add_one_by_one(builder, image_id)
            return
        rows = slice(*self.spans.pop(image_id))
        builder.add_checked(
            self.boxes[rows],
            self.labels[rows],
            self.ignored[rows],
            self.areas[rows],
            self.order[rows],
        )

    def _add_one_by_one(self, builder: IndexBuilder, image_id: int) -> None:
        page, seen = self.page, set()
        for row in self._take(image_id):
            box = tuple(page.boxes[4 * row : 4 * row + 4])
            label = self.label_of.get(page.category_ids[row])
            entry = (page.numbers[row], label, box)
            location = place_of(page.numbers[row])
            if label is None:
                builder.drop("box", "of an unknown category", builder.name, location)
            elif all(map(math.isnan, box)):
                builder.drop("box", "no four numbers", builder.name, location)
            elif location and entry in seen:
                builder.drop("box", "listed twice", builder.name, location)
            else:
                x, y, width, height = box
                corners = (x, y, x + width, y + height)
                ignored, area = bool(page.ignored[row]), page.areas[row]
                builder.add_object(Annotation(label, corners, ignored, area, row), location)
            seen.add(entry)

    def drop_of(self, builder: IndexBuilder, image_id: int, reason: str) -> None:
        """Leave out the annotations of an image, and say so."""
        text = self.page.texts.get(image_id, image_id)
        name = f"image id {text}" if image_id != NO_ID else "no image id"
        for row in self._take(image_id):
            builder.drop("box", reason, name, place_of(self.page.numbers[row]))

    def drop_rest(self, builder: IndexBuilder) -> None:
        """Drop the annotations of unlisted images, and entries that are not annotations."""
        for image_id in list(self.spans):
            self.drop_of(builder, image_id, "of an image that is not listed")
        for entry in self.page.strange:
            builder.drop("annotation", "no object {...}", entry)


def _boxes(
    page: CocoPage, order: NDArray[np.int64], image_ids: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The boxes in order, as corners inside their images, and a mask of boxes without remarks.

    Args:
        page: The file.
        order: The rows of the annotations.
        image_ids: The images of the annotations, in the same order.
    """
    sizes = {number: (width, height) for number, _, height, width in page.images} or {NO_ID: (0, 0)}
    ids = np.array(sorted(sizes), dtype=np.int64)
    limits = np.array([sizes[number] for number in ids.tolist()], dtype=np.float64)
    annotated = np.asarray(page.boxes, dtype=np.float64).reshape(-1, 4)
    boxes, plain = np.empty((len(order), 4), np.float32), np.empty(len(order), np.bool_)
    for start in range(0, len(order), _ROWS):
        rows = slice(start, start + _ROWS)
        positions = np.searchsorted(ids, image_ids[rows]).clip(max=len(ids) - 1)
        limit = np.where((ids[positions] == image_ids[rows])[:, None], limits[positions], 0)
        corners = annotated[order[rows]]
        with np.errstate(invalid="ignore", over="ignore"):
            corners[:, 2:] += corners[:, :2]
            inside = corners.clip(0, np.tile(limit, 2))
            unchanged = (np.abs(inside - corners) <= ROUNDING).all(axis=1)  # not where it is NaN
            plain[rows] = unchanged & (inside[:, 2:] - inside[:, :2] > THIN).all(axis=1)
            boxes[rows] = inside
    return boxes, plain


def _told_apart(numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mask of annotations whose id is unique or missing."""
    order = np.sort(numbers)
    twice = order[1:][order[1:] == order[:-1]]
    apart: NDArray[np.bool_] = ~np.isin(numbers, twice[twice != NO_ID])
    return apart


def place_of(number: int) -> str:
    """Name an annotation by its id, for messages."""
    return f"annotation {number}" if number != NO_ID else ""
