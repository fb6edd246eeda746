"""The AP lost to each kind of error.

Paper: TIDE: A General Toolbox for Identifying Object Detection Errors (Bolya et al., 2020),
    https://arxiv.org/abs/2008.08115, section 2.

The kinds are tested in the order of the authors' program, tidecv 1.0.1. A wrong detection is a
localisation error if it touches an object of its class, else a classification error if it overlaps
an object of another class, else a duplicate, else background if it touches nothing, else both. Of
an object's classification and localisation errors, only the best one is repaired. An object is
missed if no detection matches it and no repaired classification or localisation error would match
it. The gains equal tidecv's; a test compares them.

Departures:
  - Classes without objects do not count in AP, so that AP is COCO's AP50 (tidecv counts them as 0).
  - AP counts 100 detections per image and class as COCO does, not 100 per image.
  - A class whose objects are all missed has AP 1 once they are repaired if no wrong detection
    remains, else 0 (tidecv leaves the class out of the mean in the first case).
  - A detection inside an ignored object counts as an error only if its repair would match an
    object; tidecv also counts those that gain nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detkit.evaluation.overlapping_pairs import (
    IGNORED,
    UNMATCHED,
    Indices,
    Pairs,
    match_classes,
    ranked,
)
from detkit.evaluation.precision_recall import RECALLS, interpolated
from detkit.structures.analysis import ERROR_KINDS, ErrorSplit

_CLASSIFICATION, _LOCALISATION, _BOTH, _DUPLICATE, _BACKGROUND, _MISSED = range(6)
_TURNED = (_CLASSIFICATION, _LOCALISATION)  # these can be turned into what they mean
_RIGHT = -1  # kind of a detection that is no error
Flags = NDArray[np.bool_]
# The authors' recalls; some of COCO's, np.linspace(0, 1, 101), differ in the last bit. A recall of
# exactly 0.07 then counts in one but not in the other: 0.1 AP points with 100 objects.
_RECALLS = np.arange(101) / 100


@dataclass(frozen=True)
class _Outcome:
    """Inputs of AP. N detections, C classes.

    Attributes:
        scores: (N,).
        labels: (N,).
        counts: (N,) whether it counts at all.
        right: (N,) whether it found an object.
        objects: (C,) objects of each class.
    """

    scores: NDArray[np.float32]
    labels: Indices
    counts: Flags
    right: Flags
    objects: Indices

    def average_precision(self, measured: Flags, recalls: NDArray[np.float64]) -> float:
        """Mean over the measured classes and the recalls."""
        labels, right = self.labels[self.counts], self.right[self.counts]
        rows = ranked(self.scores[self.counts], labels, len(self.objects))
        classes = np.flatnonzero(measured).tolist()
        values = [
            _of_class(right[rows[label]], int(self.objects[label]), recalls) for label in classes
        ]
        return float(np.mean(values)) if values else float("nan")


def _of_class(right: Flags, objects: int, recalls: NDArray[np.float64]) -> float:
    if not objects:
        return float(len(right) == 0)
    return float(interpolated(right, objects, recalls).mean())


def split_errors(pairs: Pairs, classes: int, *, foreground: float, background: float) -> ErrorSplit:
    """Repair the errors of each kind alone, and see how AP rises.

    Args:
        pairs: The overlaps, down to `background`.
        classes: How many there are.
        foreground: IoU that finds an object.
        background: IoU below which a detection touches no object.
    """
    matched = match_classes(pairs, foreground)
    free = ~pairs.ignored
    free[matched[matched >= 0]] = False
    kinds, meant = _kinds(pairs, foreground, background)
    _clear_right(kinds, matched, meant, free)
    missed = free.copy()
    missed[meant[np.isin(kinds, _TURNED)]] = False

    objects = pairs.objects_of_classes(classes)
    outcome = _Outcome(
        pairs.scores, pairs.labels, (matched >= 0) | (matched == UNMATCHED), matched >= 0, objects
    )
    repairs = _best_repairs(kinds, meant, free)
    repaired = {
        kind: _turned(outcome, pairs, kinds == kind, meant, repairs[kinds[repairs] == kind])
        if kind in _TURNED
        else replace(outcome, counts=outcome.counts & (kinds != kind))
        for kind in range(_MISSED)
    }
    lost = _by_class(pairs.object_labels[missed], classes)
    repaired[_MISSED] = replace(outcome, objects=objects - lost)
    only_right = replace(outcome, counts=outcome.right)
    all_found = replace(outcome, objects=objects - _by_class(pairs.object_labels[free], classes))

    measured = objects > 0
    start = outcome.average_precision(measured, _RECALLS)

    def gain(better: _Outcome) -> float:
        # A repair never hurts; a loss would be one of looking at 101 recalls only.
        return max(0.0, better.average_precision(measured, _RECALLS) - start)

    counts = {kind: _by_class(pairs.labels[kinds == kind], classes) for kind in range(_MISSED)}
    return ErrorSplit(
        foreground=foreground,
        background=background,
        average_precision=outcome.average_precision(measured, RECALLS),
        gains={name: gain(repaired[kind]) for kind, name in enumerate(ERROR_KINDS)},
        counts={name: {**counts, _MISSED: lost}[kind] for kind, name in enumerate(ERROR_KINDS)},
        false_positive_gain=gain(only_right),
        false_negative_gain=gain(all_found),
    )


def _by_class(labels: Indices, classes: int) -> Indices:
    return np.bincount(labels, minlength=classes)


def _kinds(pairs: Pairs, foreground: float, background: float) -> tuple[Indices, Indices]:
    """(N,) error kind of each detection if it is wrong, and (N,) the object it was meant for."""
    counting = (pairs.iou >= background) & ~pairs.ignored[pairs.object]
    same_iou, same = _most_overlapped(pairs, counting & pairs.same_class())
    other_iou, other = _most_overlapped(pairs, counting & ~pairs.same_class())
    touches_own = (same_iou >= background) & (same_iou < foreground)
    conditions = [
        touches_own,
        other_iou >= foreground,
        same_iou >= foreground,
        (same_iou < background) & (other_iou < background),
    ]
    choices = [_LOCALISATION, _CLASSIFICATION, _DUPLICATE, _BACKGROUND]
    kinds = np.select(conditions, choices, default=_BOTH)
    meant = np.select([kinds == _LOCALISATION, kinds == _CLASSIFICATION], [same, other], default=-1)
    return kinds, meant


def _clear_right(kinds: Indices, matched: Indices, meant: Indices, free: Flags) -> None:
    """Mark correct detections, and detections in ignored objects that no repair would match."""
    kinds[matched >= 0] = _RIGHT
    repairable = np.isin(kinds, _TURNED)
    repairable[repairable] = free[meant[repairable]]
    kinds[(matched == IGNORED) & ~repairable] = _RIGHT


def _most_overlapped(pairs: Pairs, selected: Flags) -> tuple[NDArray[np.float64], Indices]:
    """(N,) the largest IoU of each detection, 0 for none, and (N,) its object, -1 for none."""
    rows = np.flatnonzero(selected)
    rows = rows[np.lexsort((pairs.object[rows], -pairs.iou[rows], pairs.detection[rows]))]
    detection, first = np.unique(pairs.detection[rows], return_index=True)
    iou = np.zeros(len(pairs.scores))
    objects = np.full(len(pairs.scores), -1)
    iou[detection], objects[detection] = pairs.iou[rows[first]], pairs.object[rows[first]]
    return iou, objects


def _best_repairs(kinds: Indices, meant: Indices, free: Flags) -> Indices:
    """The best classification or localisation error of each free object.

    Both kinds compete, as in the authors' program: if the best one is a classification error,
    repairing localisation errors gains nothing for the object.
    """
    candidates = np.flatnonzero(np.isin(kinds, _TURNED))
    candidates = candidates[free[meant[candidates]]]
    # Detections are sorted best first within an image, so an object's first is its best.
    _, first = np.unique(meant[candidates], return_index=True)
    best: Indices = candidates[first]
    return best


def _turned(
    outcome: _Outcome, pairs: Pairs, of_kind: Flags, meant: Indices, repairs: Indices
) -> _Outcome:
    """The outcome if the repairs match their objects and other errors of the kind vanish."""
    counts, right, labels = outcome.counts & ~of_kind, outcome.right.copy(), outcome.labels.copy()
    counts[repairs], right[repairs] = True, True
    labels[repairs] = pairs.object_labels[meant[repairs]]
    return replace(outcome, labels=labels, counts=counts, right=right)
