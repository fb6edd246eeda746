"""What AP loses to which kind of error.

Paper: TIDE: A General Toolbox for Identifying Object Detection Errors (Bolya et al., 2020),
    https://arxiv.org/abs/2008.08115, section 2.

Kinds are asked for in the order of the authors' program: a wrong detection is a localisation error
if it touches an object of its class, else a classification error if it lies on one of another
class, else a duplicate, else background if it touches nothing, else both. A missed object is one
that was not found and that no classification or localisation error can be turned into.

Departures:
  - Classes without objects do not count in AP, so that AP is COCO's AP50 (there they count as 0).
  - 100 detections count of each image and class as in COCO, not of each image.
  - A class whose objects are all missed has AP 1 once they are repaired and nothing wrong is
    left, 0 otherwise (there it does not count any more in the first case).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detkit.evaluation.curves import interpolated
from detkit.evaluation.pairs import UNMATCHED, Indices, Pairs, match_classes, ranked
from detkit.structures.analysis import ERROR_KINDS, ErrorSplit

_CLASSIFICATION, _LOCALISATION, _BOTH, _DUPLICATE, _BACKGROUND, _MISSED = range(6)
_TURNED = (_CLASSIFICATION, _LOCALISATION)  # these can be turned into what they mean
_RIGHT = -1  # kind of a detection that is no error
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class _Outcome:
    """What AP is computed from. N detections, C classes.

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

    def average_precision(self, measured: Flags) -> float:
        """Mean over the classes that are measured."""
        labels, right = self.labels[self.counts], self.right[self.counts]
        rows = ranked(self.scores[self.counts], labels, len(self.objects))
        chosen = np.flatnonzero(measured).tolist()
        values = [_of_class(right[rows[label]], int(self.objects[label])) for label in chosen]
        return float(np.mean(values)) if values else float("nan")


def _of_class(right: Flags, objects: int) -> float:
    return float(interpolated(right, objects).mean()) if objects else float(len(right) == 0)


def split_errors(pairs: Pairs, classes: int, *, foreground: float, background: float) -> ErrorSplit:
    """Repair the errors of each kind alone, and see how AP rises.

    Args:
        pairs: The overlaps, down to `background`.
        classes: How many there are.
        foreground: IoU that finds an object.
        background: IoU below which a detection touches no object.
    """
    matched = match_classes(pairs, foreground)
    kinds, meant = _kinds(pairs, matched, foreground, background)
    free = ~pairs.ignored
    free[matched[matched >= 0]] = False
    missed = free.copy()
    missed[meant[np.isin(kinds, _TURNED)]] = False

    objects = pairs.objects_of_classes(classes)
    outcome = _Outcome(
        pairs.scores, pairs.labels, (matched >= 0) | (matched == UNMATCHED), matched >= 0, objects
    )
    repaired = {
        kind: _turned(outcome, pairs, kinds == kind, meant, free)
        if kind in _TURNED
        else replace(outcome, counts=outcome.counts & (kinds != kind))
        for kind in range(_MISSED)
    }
    lost = _by_class(pairs.object_labels[missed], classes)
    repaired[_MISSED] = replace(outcome, objects=objects - lost)
    only_right = replace(outcome, counts=outcome.right)
    all_found = replace(outcome, objects=objects - _by_class(pairs.object_labels[free], classes))

    measured = objects > 0
    start = outcome.average_precision(measured)

    def gain(better: _Outcome) -> float:
        # A repair never hurts; a loss would be one of looking at 101 recalls only.
        return max(0.0, better.average_precision(measured) - start)

    found = {kind: _by_class(pairs.labels[kinds == kind], classes) for kind in range(_MISSED)}
    return ErrorSplit(
        foreground=foreground,
        background=background,
        average_precision=start,
        gains={name: gain(repaired[kind]) for kind, name in enumerate(ERROR_KINDS)},
        counts={name: {**found, _MISSED: lost}[kind] for kind, name in enumerate(ERROR_KINDS)},
        false_positive_gain=gain(only_right),
        false_negative_gain=gain(all_found),
    )


def _by_class(labels: Indices, classes: int) -> Indices:
    return np.bincount(labels, minlength=classes)


def _kinds(
    pairs: Pairs, matched: Indices, foreground: float, background: float
) -> tuple[Indices, Indices]:
    """(N,) kind of error of each detection, and (N,) the object that it means, -1 for none."""
    counting = (pairs.iou >= background) & ~pairs.ignored[pairs.object]
    same_iou, same = _most_overlapped(pairs, counting & pairs.same_class())
    other_iou, other = _most_overlapped(pairs, counting & ~pairs.same_class())
    touches_own = (same_iou >= background) & (same_iou < foreground)
    conditions = [
        matched != UNMATCHED,
        touches_own,
        other_iou >= foreground,
        same_iou >= foreground,
        (same_iou < background) & (other_iou < background),
    ]
    choices = [_RIGHT, _LOCALISATION, _CLASSIFICATION, _DUPLICATE, _BACKGROUND]
    kinds = np.select(conditions, choices, default=_BOTH)
    meant = np.select([kinds == _LOCALISATION, kinds == _CLASSIFICATION], [same, other], default=-1)
    return kinds, meant


def _most_overlapped(pairs: Pairs, chosen: Flags) -> tuple[NDArray[np.float64], Indices]:
    """(N,) the largest IoU of each detection, 0 for none, and (N,) its object, -1 for none."""
    rows = np.flatnonzero(chosen)
    rows = rows[np.lexsort((pairs.object[rows], -pairs.iou[rows], pairs.detection[rows]))]
    detection, first = np.unique(pairs.detection[rows], return_index=True)
    iou = np.zeros(len(pairs.scores))
    thing = np.full(len(pairs.scores), -1)
    iou[detection], thing[detection] = pairs.iou[rows[first]], pairs.object[rows[first]]
    return iou, thing


def _turned(outcome: _Outcome, pairs: Pairs, mine: Flags, meant: Indices, free: Flags) -> _Outcome:
    """The best error of each free object finds it; the others are gone."""
    candidates = np.flatnonzero(mine)
    candidates = candidates[free[meant[candidates]]]
    # Detections of an image come best first, so the first one is the best.
    things, first = np.unique(meant[candidates], return_index=True)
    chosen = candidates[first]
    counts, right, labels = outcome.counts & ~mine, outcome.right.copy(), outcome.labels.copy()
    counts[chosen], right[chosen] = True, True
    labels[chosen] = pairs.object_labels[things]
    return replace(outcome, labels=labels, counts=counts, right=right)
