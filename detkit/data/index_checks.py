"""Labels and boxes that no detector can be trained on, found before anything is trained.

On a GPU a label out of range ends the process with an assertion that names nothing.
"""

from __future__ import annotations

import numpy as np

from detkit.data.box_units import find_misreading
from detkit.errors import DataError
from detkit.structures import DatasetIndex
from detkit.text import counted


def check_index(index: DatasetIndex) -> None:
    """Refuse an index with invalid labels or boxes; checks only once.

    Raises:
        DataError: The reader made a mistake (the message names the first affected file), or the
            boxes are not in the format's units.
    """
    classes, boxes = len(index.class_names), index.boxes
    wrong = (index.labels < 0) | (index.labels >= classes) | ~np.isfinite(boxes).all(axis=1)
    wrong |= (boxes[:, 2:] < boxes[:, :2]).any(axis=1)
    if wrong.any():
        row = int(wrong.argmax())
        position = int(np.searchsorted(index.object_offsets, row, side="right")) - 1
        raise DataError(
            f"{index.path(position)}: {_object(boxes[row].tolist(), int(index.labels[row]))}: "
            f"expected a label in 0..{classes - 1} ({', '.join(index.class_names)}) and finite "
            f"corners in order; like this: {int(wrong.sum())} of {counted(len(wrong), 'object')}. "
            "The reader must number the classes from 0 without gaps, as detkit's readers do, and "
            "drop such boxes."
        )
    _require_units(index)


def _require_units(index: DatasetIndex) -> None:
    misreading = find_misreading(index)
    if misreading is not None and misreading.is_hopeless:
        name, box = misreading.boxes[0]
        raise DataError(
            f"'{index.root}' has {misreading.cause}: {len(misreading.boxes):,} of "
            f"{counted(misreading.total, 'box')}, such as {misreading.describe(box)} "
            f"in {name}. {misreading.advice} `detkit data check` names all of them."
        )


def _object(box: list[float], label: int) -> str:
    return f"an object with label {label} and box [{', '.join(f'{value:g}' for value in box)}]"
