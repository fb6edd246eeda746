"""The detections of each class, and of all classes together, best first."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detkit.evaluation.overlapping_pairs import IGNORED, Pairs, match_classes, ranked


class RankedDetections(NamedTuple):
    """N detections that count, best first.

    Attributes:
        scores: (N,).
        correct: (N,) whether each matches an object.
        objects: Number of objects to detect.
    """

    scores: NDArray[np.float32]
    correct: NDArray[np.bool_]
    objects: int

    def last_of_equal_scores(self) -> NDArray[np.int64]:
        """The position of the last detection with each score: the points of a curve."""
        return np.flatnonzero(np.append(self.scores[1:] < self.scores[:-1], len(self.scores) > 0))


def rank_detections(pairs: Pairs, classes: int, iou_threshold: float) -> list[RankedDetections]:
    """The detections of each class, and of all classes at the end, matched inside their class."""
    matched = match_classes(pairs, iou_threshold)
    counted = np.flatnonzero(matched != IGNORED)
    scores, correct = pairs.scores[counted], matched[counted] >= 0
    of_classes = ranked(scores, pairs.labels[counted], classes)
    rows = [*of_classes, np.argsort(-scores, kind="stable")]
    objects = pairs.objects_of_classes(classes)
    counts = [*objects.tolist(), int(objects.sum())]
    return [RankedDetections(scores[r], correct[r], n) for r, n in zip(rows, counts, strict=True)]
