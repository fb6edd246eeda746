"""ROC, FROC, precision, recall and F1 curves: by hand, and as scikit-learn computes them."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest
from direct_coco import CLASSES, random_annotations, scenes

from detkit.evaluation.curve_files import ALL, MEAN, write_curves
from detkit.evaluation.detection_analysis import analyse, analysis_content
from detkit.evaluation.image_results import CollectedImages
from detkit.evaluation.overlapping_pairs import find_pairs
from detkit.evaluation.ranked_detections import RankedDetections, rank_detections
from detkit.evaluation.roc_curves import roc_curves

# Best first; two equal scores in the middle.
SCORES = np.array([0.9, 0.8, 0.6, 0.6, 0.3], np.float32)
CORRECT = np.array([True, False, True, False, True])
EXAMPLE = RankedDetections(SCORES, CORRECT, 4)


def collected(seed: int) -> CollectedImages:
    seen = CollectedImages(CLASSES)
    for image_id, detections, objects in scenes(random_annotations(seed), seed, noise=200):
        seen.update([image_id], [detections], [objects])
    return seen


def ranked(seed: int) -> list[RankedDetections]:
    return rank_detections(find_pairs(collected(seed).by_id(), 0.1, 100), len(CLASSES), 0.5)


def test_recall_at_false_positives_by_hand():
    curves = roc_curves([EXAMPLE], images=2, iou_threshold=0.5)
    limits, recall = curves.false_positives, curves.recall[0]
    # One object without a wrong detection, and three with one wrong detection per image.
    assert set(recall[limits < 0.99].tolist()) == {0.25}
    assert set(recall[limits > 1.01].tolist()) == {0.75}
    assert curves.froc_score[0] == pytest.approx((3 * 0.25 + 4 * 0.75) / 7)


def test_the_area_is_the_probability_that_a_correct_detection_scores_higher():
    pairs = [(c > w) + 0.5 * (c == w) for c in SCORES[CORRECT] for w in SCORES[~CORRECT]]
    curves = roc_curves([EXAMPLE], images=2, iou_threshold=0.5)
    assert curves.area[0] == pytest.approx(np.mean(pairs), abs=1e-12)
    assert curves.true_positive_rate[0, [0, -1]] == pytest.approx([1 / 3, 1])


@pytest.mark.parametrize("correct", [[], [True, True], [False]])
def test_without_correct_or_without_wrong_detections_there_is_no_roc(correct):
    scores = np.linspace(0.9, 0.1, len(correct), dtype=np.float32)
    curves = roc_curves([RankedDetections(scores, np.array(correct, bool), 3)], 1, 0.5)
    assert math.isnan(curves.area[0])
    assert np.isnan(curves.true_positive_rate).all()
    assert curves.recall[0, -1] == pytest.approx(sum(correct) / 3)


def test_a_class_without_objects_has_no_recall():
    curves = roc_curves([RankedDetections(SCORES, np.zeros(5, bool), 0)], 1, 0.5)
    assert np.isnan(curves.recall).all()
    assert math.isnan(curves.froc_score[0])


@pytest.mark.parametrize("seed", range(4))
def test_roc_equals_scikit_learn(seed):
    metrics = pytest.importorskip("sklearn.metrics")
    rows = ranked(seed)
    curves = roc_curves(rows, images=10, iou_threshold=0.5)
    for row, (scores, correct, _) in enumerate(rows):
        if correct.all() or not correct.any():
            continue  # scikit-learn warns
        false_rate, true_rate, _ = metrics.roc_curve(correct, scores, drop_intermediate=False)
        expected = np.interp(curves.false_positive_rate, false_rate, true_rate)
        np.testing.assert_allclose(curves.true_positive_rate[row], expected, atol=1e-12)
        assert curves.area[row] == pytest.approx(metrics.roc_auc_score(correct, scores), abs=1e-12)


@pytest.mark.parametrize("seed", range(2))
def test_precision_recall_and_f1_equal_scikit_learn(seed):
    """An object without a detection is a positive that never passes a threshold."""
    metrics = pytest.importorskip("sklearn.metrics")
    thresholds = analyse(collected(seed)).thresholds
    for row, (scores, correct, objects) in enumerate(ranked(seed)):
        missed = objects - int(correct.sum())
        truth = np.append(correct, np.ones(missed, bool))
        padded = np.append(scores, np.full(missed, -1))
        for position in range(0, 201, 25):
            passes = padded >= thresholds.scores[position]
            precision, recall, f1, _ = metrics.precision_recall_fscore_support(
                truth, passes, average="binary", zero_division=0
            )
            results = [getattr(thresholds, n)[row, position] for n in ("precision", "recall", "f1")]
            assert np.nan_to_num(results) == pytest.approx([precision, recall, f1], abs=1e-12)


def test_csv_files_hold_each_class_all_together_and_the_mean(tmp_path):
    analysis = analyse(collected(0))
    files = write_curves(analysis, tmp_path / "new")
    tables = {file.stem: list(csv.DictReader(file.open())) for file in files}
    assert set(tables) == {"score_thresholds", "precision_recall", "froc", "roc"}
    names = {row["class"] for row in tables["score_thresholds"]}
    assert names == {*CLASSES, ALL, MEAN}
    values = [float(row["f1"]) for row in tables["score_thresholds"] if row["class"] == MEAN]
    assert values[50] == pytest.approx(np.nanmean(analysis.thresholds.f1[:-1, 50]), abs=1e-6)


def test_json_has_the_areas_and_the_froc_scores():
    analysis = analyse(collected(0))
    content = analysis_content(analysis)["roc"]
    assert content["area"]["classes"].keys() == set(CLASSES)
    assert content["area"]["all_classes"] == pytest.approx(analysis.roc.area[-1], abs=1e-6)
    expected = np.nanmean(analysis.roc.froc_score[:-1])
    assert content["froc_score"]["mean"] == pytest.approx(expected, abs=1e-6)
