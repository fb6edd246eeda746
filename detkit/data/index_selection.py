"""Select the images of an index, and relabel its objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from detkit.errors import DataError, did_you_mean
from detkit.structures import DatasetIndex


def offsets(lengths: Sequence[int]) -> NDArray[np.int64]:
    """The offsets of consecutive spans of these lengths, starting with 0."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def select(index: DatasetIndex, positions: Sequence[int] | NDArray[np.int64]) -> DatasetIndex:
    """The index of the images at these positions, in this order."""
    positions = np.asarray(positions, dtype=np.int64)
    names = [index.file_names[index.file_offsets[p] : index.file_offsets[p + 1]] for p in positions]
    spans = [np.arange(*index.object_offsets[p : p + 2]) for p in positions]
    objects = np.concatenate([*spans, np.zeros(0, dtype=np.int64)]).astype(np.int64)
    return replace(
        index,
        file_names=b"".join(names),
        file_offsets=offsets([len(name) for name in names]),
        image_ids=index.image_ids[positions],
        sizes=index.sizes[positions],
        object_offsets=offsets([len(span) for span in spans]),
        boxes=index.boxes[objects],
        labels=index.labels[objects],
        ignored=index.ignored[objects],
        areas=index.areas[objects],
        outlines=None if index.outlines is None else index.outlines.select(objects),
        tiles=None if index.tiles is None else index.tiles.select(positions),
    )


def relabel(index: DatasetIndex, class_names: Sequence[str], owner: str) -> DatasetIndex:
    """The same images, labelled by name in another list of classes.

    Args:
        index: What to relabel.
        class_names: The classes to use, in label order.
        owner: Where these classes come from, for the message ("the checkpoint").

    Raises:
        DataError: Objects have a class that is not in the list.
    """
    if list(class_names) == index.class_names:
        return index
    # readers strip spaces around names; checkpoints of older versions still contain them
    position = {name.strip(): label for label, name in enumerate(class_names)}
    position |= {name: label for label, name in enumerate(class_names)}
    present = [index.class_names[label] for label in np.unique(index.labels)]
    unknown = [name for name in present if name not in position]
    if unknown:
        raise DataError(
            f"{owner} does not know the classes {', '.join(map(repr, unknown))} that objects of "
            f"'{index.root}' have; it knows {', '.join(map(repr, class_names))}."
            f"{did_you_mean(unknown[0], class_names)} Rename the classes in the data, or train on "
            "them."
        )
    table = np.array([position.get(name, -1) for name in index.class_names], dtype=np.int64)
    ids = dict(zip(index.class_names, index.category_ids, strict=True))
    free = max(index.category_ids, default=0)
    category_ids = []
    for name in class_names:  # a class that the data lack gets an unused id
        number = ids.get(name, ids.get(name.strip()))
        free += number is None
        category_ids.append(free if number is None else number)
    labels = table[index.labels] if len(index.labels) else index.labels
    return replace(index, class_names=list(class_names), category_ids=category_ids, labels=labels)
