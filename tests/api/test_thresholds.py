"""Minimum scores of each class, from what a user sets."""

from types import SimpleNamespace

import numpy as np
import pytest

from detkit.api.thresholds import lowest_scores, minimum_scores, one_score
from detkit.errors import UserError


@pytest.fixture
def detector():
    return SimpleNamespace(
        class_names=("cat", "dog", "emu"),
        threshold=0.3,
        class_thresholds={"dog": 0.7, "cat": 0.2},
    )


@pytest.mark.parametrize(
    ("threshold", "scores"),
    [
        (None, (0.3, 0.3, 0.3)),
        (0.5, (0.5, 0.5, 0.5)),
        ("per_class", (0.2, 0.7, 0.3)),
        ({"emu": 0.9}, (0.3, 0.3, 0.9)),
    ],
)
def test_scores_of_each_class(detector, threshold, scores):
    assert tuple(minimum_scores(threshold, detector).values()) == scores
    np.testing.assert_array_equal(lowest_scores(threshold, detector), np.float32(scores))


@pytest.mark.parametrize(
    ("threshold", "message"),
    [
        ({"dgo": 0.4}, "no class 'dgo'. Did you mean 'dog'"),
        ({"dog": 1.4}, "1.4; expected a score from 0 to 1"),
        ("per class", "expected a score from 0 to 1"),
        ({}, "names no class"),
    ],
)
def test_wrong_thresholds(detector, threshold, message):
    with pytest.raises(UserError, match=message):
        minimum_scores(threshold, detector)


def test_a_detector_without_scores_of_classes_refuses_per_class(detector):
    detector.class_thresholds = None
    with pytest.raises(UserError, match="this detector has no thresholds per class"):
        minimum_scores("per_class", detector)


def test_a_tracker_needs_one_score(detector):
    assert one_score(lowest_scores(0.5, detector)) == 0.5
    with pytest.raises(UserError, match="needs one score threshold"):
        one_score(lowest_scores("per_class", detector))
