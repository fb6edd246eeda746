"""A results file as detections of the images and classes of a data set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch

from detkit.errors import DataError
from detkit.evaluation.results import Row
from detkit.evaluation.results_images import image_positions
from detkit.evaluation.results_objects import labels_at, sample
from detkit.structures import DatasetIndex, Detections

Box = tuple[float, float, float, float]
Classes = Mapping[int | str, int]  # category ids and class names to labels
_TWICE = 2  # how much better another reading has to be to be named
_FEWEST = 3  # boxes that a doubt needs
_LEAST_SHARE = 0.05  # of the boxes; of noise, some are at objects in any reading
_SHOWN_CLASSES = 8
_AS_IDS = "by id"
_SHIFTS = {"numbered one too high": 1, "numbered one too low": -1}


class Matched(NamedTuple):
    """The detections of a results file.

    Attributes:
        by_image: By image id of the data set, best first.
        notes: Lines that say how rows were matched, and what looks wrong.
    """

    by_image: dict[int, Detections]
    notes: list[str]


def match_rows(rows: Sequence[Row], index: DatasetIndex, source: str, split: str) -> Matched:
    """Match rows with images by file name where all have one, else by id, else by stem.

    Category ids are the data set's own. If some are not, and all would number its classes from 0 or
    from 1, they are taken as that, and a note says so.

    Args:
        rows: Of the file.
        index: The images that are measured, and their objects.
        source: The file, for messages.
        split: The split that is measured, for messages.

    Raises:
        DataError: Rows have no image in the data set, or name classes that it does not have.
    """
    if not rows:
        return Matched({}, [f"{source}: no detections."])
    positions, matched_by = image_positions(rows, index, source, split)
    at_objects = labels_at([row.box for row in rows], positions, index)
    classes, note = _classes(rows, at_objects, index, source)
    labels = [classes[row.category] for row in rows]
    notes = [
        f"{source}: {len(rows):,} detections in {len(set(positions)):,} of {len(index):,} images, "
        f"matched by {matched_by}.",
        *([note] if note else []),
        *_doubts(rows, positions, at_objects, index),
        *_class_doubts(rows, at_objects, classes, index),
    ]
    by_image: dict[int, list[tuple[float, int, Box]]] = defaultdict(list)
    for row, position, label in zip(rows, positions, labels, strict=True):
        by_image[int(index.image_ids[position])].append((row.score, label, row.box))
    return Matched({image: _detections(boxes) for image, boxes in by_image.items()}, notes)


def _classes(
    rows: Sequence[Row], at_objects: Sequence[int | None], index: DatasetIndex, source: str
) -> tuple[Classes, str]:
    """What category ids mean, and a note where they are not the data set's.

    Raises:
        DataError: Rows name classes that the data set does not have.
    """
    used = {row.category for row in rows}
    readings = _class_readings(index)
    valid = {
        name: classes
        for name, classes in readings.items()
        if used <= set(classes)
        and (name not in _SHIFTS or _agreement(rows, at_objects, classes))  # else a mere guess
    }
    if not valid:
        unknown = sorted(used - set(readings[_AS_IDS]), key=str)
        raise DataError(
            f"{source}: category_id {unknown[0]!r} is none of the data set's: {_known(index)}. "
            "Write these ids, or class names."
        )
    if _AS_IDS in valid:
        return valid[_AS_IDS], ""
    name = max(valid, key=lambda name: _agreement(rows, at_objects, valid[name]))
    meanings = {c: index.class_names[valid[name][c]] for c in sorted(used, key=str)}
    return valid[name], (
        f"category ids are not the data set's ({_known(index)}); they are taken as classes {name}: "
        f"{_listed(meanings)}."
    )


def _class_readings(index: DatasetIndex) -> dict[str, Classes]:
    labels = range(len(index.class_names))
    names: dict[int | str, int] = {name: label for label, name in enumerate(index.class_names)}
    return {
        _AS_IDS: names | dict(zip(index.category_ids, labels, strict=True)),
        "numbered from 0": {label: label for label in labels},
        "numbered from 1": {label + 1: label for label in labels},
        **{
            name: {number + shift: label for label, number in enumerate(index.category_ids)}
            for name, shift in _SHIFTS.items()
        },
    }


def _known(index: DatasetIndex) -> str:
    return _listed(dict(zip(index.category_ids, index.class_names, strict=True)))


def _listed(classes: Mapping[int, str] | Mapping[int | str, str]) -> str:
    shown = [f"{number} = {name}" for number, name in classes.items()]
    more = [f"and {len(shown) - _SHOWN_CLASSES} more"] * (len(shown) > _SHOWN_CLASSES)
    return ", ".join(shown[:_SHOWN_CLASSES] + more)


def _agreement(rows: Sequence[Row], at_objects: Sequence[int | None], classes: Classes) -> int:
    """Sampled rows that overlap an object of their class."""
    sampled = (rows[row].category for row in sample(len(rows)))
    return sum(
        label is not None and classes.get(category) == label
        for category, label in zip(sampled, at_objects, strict=True)
    )


def _doubts(
    rows: Sequence[Row],
    positions: Sequence[int],
    at_objects: Sequence[int | None],
    index: DatasetIndex,
) -> list[str]:
    """A warning where hardly a box is at an object, or more would be if bbox held other numbers."""
    hits = sum(label is not None for label in at_objects)
    if not len(index.labels):
        return []
    for name, boxes in _box_readings(rows, positions, index).items():
        others = sum(label is not None for label in labels_at(boxes, positions, index))
        if others > _TWICE * hits and others >= max(_FEWEST, _LEAST_SHARE * len(at_objects)):
            return [
                f"warning: {hits:,} of {len(at_objects):,} boxes are at objects, but {others:,} "
                f"would be if bbox held {name}: write x, y, width, height in pixels."
            ]
    if hits:
        return []
    return [
        f"warning: none of {len(at_objects):,} boxes is at an object of its image (IoU 0.5): do "
        "image ids and boxes belong to this data set?"
    ]


def _box_readings(
    rows: Sequence[Row], positions: Sequence[int], index: DatasetIndex
) -> dict[str, list[Box]]:
    """Boxes by what bbox may hold instead of x, y, width, height in pixels."""
    readings: dict[str, list[Box]] = {"x1, y1, x2, y2": [], "shares of the image": []}
    for row, position in zip(rows, positions, strict=True):
        x1, y1, x2, y2 = row.box
        height, width = index.sizes[position].tolist()
        readings["x1, y1, x2, y2"].append((x1, y1, x2 - x1, y2 - y1))
        readings["shares of the image"].append((x1 * width, y1 * height, x2 * width, y2 * height))
    return readings


def _class_doubts(
    rows: Sequence[Row], at_objects: Sequence[int | None], classes: Classes, index: DatasetIndex
) -> list[str]:
    """A warning where boxes are at objects, but few have the right class, or others have more."""
    hits = sum(label is not None for label in at_objects)
    right = _agreement(rows, at_objects, classes)
    for name, other in _class_readings(index).items():
        others = _agreement(rows, at_objects, other)
        if others > _TWICE * right and others >= max(_FEWEST, hits / _TWICE):
            return [
                f"warning: of {hits:,} boxes at objects {right:,} have the object's class, but "
                f"{others:,} would if category ids were classes {name}: check the category ids."
            ]
    if right or hits < _FEWEST:
        return []
    return [
        f"warning: none of {hits:,} boxes at objects has the object's class: check the category "
        "ids."
    ]


def _detections(rows: list[tuple[float, int, Box]]) -> Detections:
    scores, labels, boxes = zip(*sorted(rows, key=lambda row: -row[0]), strict=True)
    return Detections(torch.tensor(boxes), torch.tensor(scores), torch.tensor(labels))
