"""The confusion matrix: the predicted class of each object."""

from __future__ import annotations

import numpy as np

from detkit.evaluation.overlapping_pairs import UNMATCHED, Pairs, match
from detkit.structures.analysis import Confusion


def confusion(
    pairs: Pairs, classes: int, *, iou_threshold: float, score_threshold: float
) -> Confusion:
    """Match without regard to the class, best detections first, and count the pairs of classes.

    A detection of an object that a better one has taken, or of nothing, is in the row of the
    background; an object that nothing has taken is in the column of the background. Detections
    in ignored objects of their class are left out.

    Args:
        pairs: The overlaps.
        classes: How many there are.
        iou_threshold: Overlap that makes a detection and an object a pair.
        score_threshold: Detections below it are left out.
    """
    visible = pairs.scores >= score_threshold
    candidates = visible[pairs.detection] & (pairs.iou >= iou_threshold)
    candidates &= pairs.same_class() | ~pairs.ignored[pairs.object]
    matched = match(pairs, candidates)
    counts = np.zeros((classes + 1, classes + 1), np.int64)
    paired = np.flatnonzero(matched >= 0)
    np.add.at(counts, (pairs.object_labels[matched[paired]], pairs.labels[paired]), 1)
    invented = visible & (matched == UNMATCHED)
    counts[-1, :-1] = np.bincount(pairs.labels[invented], minlength=classes)
    unmatched = ~pairs.ignored
    unmatched[matched[paired]] = False
    counts[:-1, -1] = np.bincount(pairs.object_labels[unmatched], minlength=classes)
    return Confusion(iou_threshold, score_threshold, counts)
