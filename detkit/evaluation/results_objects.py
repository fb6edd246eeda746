"""The objects that the boxes of a results file lie at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detkit.evaluation.overlaps import iou_matrix
from detkit.structures import DatasetIndex

_FOUND = 0.5  # IoU that makes a detection and an object a pair
_SAMPLED = 2000  # rows that are looked at


def labels_at(
    boxes: Sequence[tuple[float, float, float, float]],
    positions: Sequence[int],
    index: DatasetIndex,
) -> list[int | None]:
    """Of the sampled rows, the label of the object that each overlaps most; None below IoU 0.5.

    Args:
        boxes: By row, xyxy.
        positions: By row the position of its image in the index.
        index: Images and objects.
    """
    labels: list[int | None] = []
    for row in sample(len(boxes)):
        start, stop = index.object_offsets[positions[row] : positions[row] + 2]
        overlaps = iou_matrix(np.array([boxes[row]]), index.boxes[start:stop])[0]
        best = int(overlaps.argmax()) if len(overlaps) else 0
        is_pair = len(overlaps) > 0 and overlaps[best] >= _FOUND
        labels.append(int(index.labels[start + best]) if is_pair else None)
    return labels


def sample(count: int) -> range:
    """Rows that are looked at: evenly taken, 2,000 to 4,000 of many."""
    return range(0, count, max(1, count // _SAMPLED))
