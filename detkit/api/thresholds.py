"""The lowest score of each class, from the threshold that a user sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from detkit.api.arguments import require_score
from detkit.errors import UserError, did_you_mean

PER_CLASS: Literal["per_class"] = "per_class"
Threshold = float | Mapping[str, float] | Literal["per_class"]
Scores = NDArray[np.float32]


class HasThresholds(Protocol):
    """A detector's own thresholds; see `Backend` for the attributes."""

    class_names: tuple[str, ...]
    threshold: float
    class_thresholds: Mapping[str, float] | None


def minimum_scores(threshold: Threshold | None, detector: HasThresholds) -> dict[str, float]:
    """The minimum score of each class, by name.

    Args:
        threshold: One score for all; scores by class name; `per_class` for the detector's scores
            of each class; or None for its score for all. Classes that are not named get the latter.
        detector: The detector.

    Raises:
        UserError: It is none of these, a class is unknown, or no scores of classes were measured.
    """
    if threshold == PER_CLASS and detector.class_thresholds is None:
        raise UserError(
            "threshold per_class: this detector has no thresholds per class. A training measures "
            "them at its end; ensembles have none. Set scores by class name, such as {dog: 0.4, "
            "cat: 0.5}, or one score for all classes."
        )
    if threshold == {}:
        raise UserError(
            "threshold={}: names no class: give some, such as {dog: 0.4}, or leave it out."
        )
    scores = detector.class_thresholds if threshold == PER_CLASS else threshold
    if not isinstance(scores, Mapping):
        score = detector.threshold if scores is None else require_score(scores)
        return dict.fromkeys(detector.class_names, score)
    for name in scores:
        if name not in detector.class_names:
            raise UserError(
                f"threshold: the detector has no class '{name}'."
                f"{did_you_mean(str(name), detector.class_names)} Its classes: "
                f"{', '.join(detector.class_names)}."
            )
    return {
        name: require_score(scores.get(name, detector.threshold)) for name in detector.class_names
    }


def lowest_scores(threshold: Threshold | None, detector: HasThresholds) -> Scores:
    """(C,) the same in label order, as scores are compared with it.

    Raises:
        UserError: As for `minimum_scores`.
    """
    return np.array(list(minimum_scores(threshold, detector).values()), dtype=np.float32)


def one_score(lowest: Scores) -> float:
    """The minimum score of all classes, for a tracker.

    Raises:
        UserError: Classes have different ones.
    """
    scores = np.unique(lowest)
    if len(scores) > 1:
        raise UserError(
            "track: a tracker compares detections of all classes, so it needs one score threshold "
            "for all of them, and there are several. Set a single number."
        )
    return float(scores[0])
