"""Match a results file to the images and classes of a data set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch

from detkit.errors import DataError
from detkit.evaluation.results_file import Row
from detkit.evaluation.results_images import image_positions
from detkit.evaluation.results_masks import masks_of_rows
from detkit.evaluation.results_objects import labels_at, sample
from detkit.structures import DatasetIndex, Detections

Box = tuple[float, float, float, float]
Classes = Mapping[int | str, int]  # category ids and class names to labels
_TWICE = 2  # how much better another reading must be to be suggested
_FEWEST = 3  # boxes needed for a warning
_LEAST_SHARE = 0.05  # of the boxes; some noise is at objects in any reading
_SHOWN_CLASSES = 8
_AS_IDS = "by id"
_SHIFTS = {"numbered one too high": 1, "numbered one too low": -1}


class Matched(NamedTuple):
    """The detections of a results file.

    Attributes:
        by_image: Detections by image id of the data set, best first.
        notes: Lines on how rows were matched and on what looks wrong.
    """

    by_image: dict[int, Detections]
    notes: list[str]


def match_rows(rows: Sequence[Row], index: DatasetIndex, source: str, split: str) -> Matched:
    """Match rows to images by file name if all have one, else by id, else by stem.

    Category ids come from the data set. If some are not, but all can be class numbers from 0 or
    from 1, they are read that way, and a note says so.

    Args:
        rows: The rows of the file.
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
    by_image = _by_image(rows, positions, labels, index=index, source=source)
    return Matched(by_image, notes)


def _classes(
    rows: Sequence[Row], at_objects: Sequence[int | None], index: DatasetIndex, source: str
) -> tuple[Classes, str]:
    """The meaning of category ids, and a note if they are not the data set's.

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
            f"{source}: category_id {unknown[0]!r} is not one of the data set's: {_known(index)}. "
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
    texts = [f"{number} = {name}" for number, name in classes.items()]
    more = [f"and {len(texts) - _SHOWN_CLASSES} more"] * (len(texts) > _SHOWN_CLASSES)
    return ", ".join(texts[:_SHOWN_CLASSES] + more)


def _agreement(rows: Sequence[Row], at_objects: Sequence[int | None], classes: Classes) -> int:
    """The number of sampled rows that overlap an object of their class."""
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
    """A warning if no box is at an object, or if far more would be with another bbox convention."""
    hits = sum(label is not None for label in at_objects)
    if not len(index.labels):
        return []
    for name, boxes in _box_readings(rows, positions, index).items():
        more = sum(label is not None for label in labels_at(boxes, positions, index))
        if more > _TWICE * hits and more >= max(_FEWEST, _LEAST_SHARE * len(at_objects)):
            return [
                f"warning: {hits:,} of {len(at_objects):,} boxes are at objects, but {more:,} "
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
    """Boxes under other readings of bbox than x, y, width, height in pixels."""
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
    """A warning if no box at an object has the right class, or far more would under other ids."""
    hits = sum(label is not None for label in at_objects)
    right = _agreement(rows, at_objects, classes)
    for name, other in _class_readings(index).items():
        more = _agreement(rows, at_objects, other)
        if more > _TWICE * right and more >= max(_FEWEST, hits / _TWICE):
            return [
                f"warning: of {hits:,} boxes at objects {right:,} have the object's class, but "
                f"{more:,} would if category ids were classes {name}: check the category ids."
            ]
    if right or hits < _FEWEST:
        return []
    return [
        f"warning: none of {hits:,} boxes at objects has the object's class: check the category "
        "ids."
    ]


def _by_image(
    rows: Sequence[Row],
    positions: Sequence[int],
    labels: Sequence[int],
    *,
    index: DatasetIndex,
    source: str,
) -> dict[int, Detections]:
    """The detections of each image, by its id; with masks if any row has one."""
    by_position: dict[int, list[tuple[Row, int]]] = defaultdict(list)
    for row, position, label in zip(rows, positions, labels, strict=True):
        by_position[position].append((row, label))
    has_masks = any(row.segmentation is not None for row in rows)
    by_image = {}
    for position, labelled in by_position.items():
        best_first = sorted(labelled, key=lambda pair: -pair[0].score)
        boxes, scores = zip(*((row.box, row.score) for row, _ in best_first), strict=True)
        detections = Detections(
            torch.tensor(boxes),
            torch.tensor(scores),
            torch.tensor([label for _, label in best_first]),
        )
        image_id = int(index.image_ids[position])
        if has_masks:
            height, width = index.sizes[position].tolist()
            segmentations = [row.segmentation for row, _ in best_first]
            masks = masks_of_rows(segmentations, (height, width), source, f"image {image_id}")
            detections = detections.with_masks(masks)
        by_image[image_id] = detections
    return by_image
