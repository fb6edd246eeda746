"""Labels and boxes that no detector can be trained on, found on the CPU where their file is known.

On a GPU a label out of range ends the process with an assertion that names nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from detkit.errors import DataError
from detkit.structures import DatasetIndex, Sample

_OUTSIDE = 1.0  # pixels over the edge, for rounding


def check_index(index: DatasetIndex) -> None:
    """Refuse an index, once, whose labels are no classes or whose boxes are no boxes.

    Raises:
        DataError: The reader has made a mistake; the message names the file of the first one.
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
            f"corners in order; {int(wrong.sum())} of {len(wrong)} objects are like this. The "
            "reader has to number the classes from 0 without gaps (detkit's own do) and leave out "
            "such boxes."
        )


def check_samples(samples: Sequence[Sample], num_classes: int) -> None:
    """Refuse a batch in which a transform has spoilt labels or boxes; takes microseconds.

    Raises:
        DataError: The message names the file of the first one.
    """
    boxes = torch.cat([sample.target.boxes for sample in samples])
    labels = torch.cat([sample.target.labels for sample in samples])
    if not len(labels):
        return
    counts = torch.tensor([len(sample.target) for sample in samples])
    sizes = torch.tensor([sample.size[::-1] for sample in samples]).repeat_interleave(counts, dim=0)
    good = _inside(boxes, sizes) & (labels >= 0) & (labels < num_classes)
    if good.all():
        return
    row = int(good.logical_not().nonzero()[0])
    sample = samples[int((counts.cumsum(0) <= row).sum())]
    height, width = sample.size
    raise DataError(
        f"{sample.path}: {_object(boxes[row].tolist(), int(labels[row]))} after the transforms: "
        f"expected a label in 0..{num_classes - 1} and finite corners in order inside the image of "
        f"{width} x {height}: look at what the transforms of augmentation do to boxes, a plugin's "
        "first of all."
    )


def _inside(boxes: Tensor, sizes: Tensor) -> Tensor:
    """Which boxes (N, 4) lie in images of (width, height) (N, 2); NaN is nowhere."""
    low, high = boxes[:, :2], boxes[:, 2:]
    return ((low >= -_OUTSIDE) & (high >= low) & (high <= sizes + _OUTSIDE)).all(dim=1)


def _object(box: list[float], label: int) -> str:
    return f"an object with label {label} and box [{', '.join(f'{value:g}' for value in box)}]"
