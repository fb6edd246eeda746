"""The objects that the boxes of a results file overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detkit.evaluation.box_overlaps import iou_matrix
from detkit.structures import DatasetIndex

_LEAST_IOU = 0.5  # of a detection and an object that count as a pair
_SAMPLED = 2000  # rows to look at


def labels_at(
    boxes: Sequence[tuple[float, float, float, float]],
    positions: Sequence[int],
    index: DatasetIndex,
) -> list[int | None]:
    """For each sampled row, the label of the object it overlaps most; None below IoU 0.5.

    Args:
        boxes: The box of each row, xyxy.
        positions: The position of each row's image in the index.
        index: Images and objects.
    """
    labels: list[int | None] = []
    for row in sample(len(boxes)):
        start, stop = index.object_offsets[positions[row] : positions[row] + 2]
        overlaps = iou_matrix(np.array([boxes[row]]), index.boxes[start:stop])[0]
        best = int(overlaps.argmax()) if len(overlaps) else 0
        is_pair = len(overlaps) > 0 and overlaps[best] >= _LEAST_IOU
        labels.append(int(index.labels[start + best]) if is_pair else None)
    return labels


def sample(count: int) -> range:
    """Evenly spaced rows to look at: all of a few, 2,000 to 4,000 of many."""
    return range(0, count, max(1, count // _SAMPLED))
