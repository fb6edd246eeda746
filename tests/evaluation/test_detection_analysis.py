import json
import math

import numpy as np
import pytest
import torch
from direct_coco import CLASSES, measured, random_annotations, scenes

from detkit.evaluation.detection_analysis import analyse, analysis_content, errors_table
from detkit.evaluation.image_results import CollectedImages
from detkit.evaluation.metrics_table import metrics_json
from detkit.structures import Detections, Target
from detkit.structures.analysis import ERROR_KINDS

A, B, C, D = [0, 0, 40, 40], [100, 0, 140, 40], [200, 0, 240, 40], [300, 0, 340, 40]
NOWHERE = [400, 400, 440, 440]
NAMES = ["cat", "dog"]


def found(*rows):
    """Each row: label, score, box."""
    labels, scores, boxes = zip(*rows, strict=True) if rows else ((), (), ())
    return Detections(
        torch.tensor(boxes).float().reshape(-1, 4),
        torch.tensor(scores),
        torch.tensor(labels).long(),
    )


def target(*rows, ignored=()):
    """Each row: label, box."""
    labels, boxes = zip(*rows, strict=True) if rows else ((), ())
    flags = torch.tensor([i in ignored for i in range(len(rows))], dtype=torch.bool)
    boxes = torch.tensor(boxes).float().reshape(-1, 4)
    return Target(boxes, torch.tensor(labels).long(), flags)


def analysed(*images, names=NAMES):
    seen = CollectedImages(names)
    for image_id, (detections, objects) in enumerate(images, start=1):
        seen.update([image_id], [detections], [objects])
    return analyse(seen)


def analysed_rows(rows, names=CLASSES):
    seen = CollectedImages(names)
    for image_id, detections, objects in rows:
        seen.update([image_id], [detections], [objects])
    return analyse(seen)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("noise", [20, 350])
def test_curves_and_errors_start_from_the_ap_of_coco(seed, noise):
    rows = scenes(random_annotations(seed), seed, noise=noise, classes=3)
    expected, analysis = measured(rows).compute(), analysed_rows(rows)
    at_50, at_75 = analysis.precision_recall.average_precision()
    for label, name in enumerate(CLASSES):
        assert at_50[label] == pytest.approx(expected[f"AP50/{name}"], abs=1e-12, nan_ok=True)
    assert np.nanmean(at_50) == pytest.approx(expected["AP50"], abs=1e-12)
    assert np.nanmean(at_75) == pytest.approx(expected["AP75"], abs=1e-12)
    assert analysis.errors.average_precision == pytest.approx(expected["AP50"], abs=1e-12)


CAT = (0, 0.9, A)
OBJECTS = target((0, A), (0, B), (1, C))
DOG = (1, 0.9, C)
# Cat A and dog C are found in all; the fault is in cat B, or is a detection too many.
ONE_ERROR = {
    # Cat B is called a dog: called a cat it would be found, and the dog would be the only one.
    "classification": [CAT, DOG, (1, 0.95, B)],
    # IoU 10 / 70 with cat B.
    "localisation": [CAT, DOG, (0, 0.95, [130, 0, 170, 40])],
    # A dog at the wrong position on cat A; all objects are found.
    "both": [CAT, (0, 0.9, B), DOG, (1, 0.95, [30, 0, 70, 40])],
    "duplicate": [CAT, (0, 0.92, A), (0, 0.5, B), DOG],
    "background": [CAT, (0, 0.9, B), DOG, (0, 0.95, NOWHERE)],
    "missed": [CAT, DOG],
}


@pytest.mark.parametrize("kind", ERROR_KINDS)
def test_a_scene_with_one_error_gains_by_that_kind_alone(kind):
    errors = analysed((found(*ONE_ERROR[kind]), OBJECTS)).errors
    assert {name: int(counts.sum()) for name, counts in errors.counts.items()} == {
        name: int(name == kind) for name in ERROR_KINDS
    }
    assert 0 < errors.average_precision < 1
    assert errors.gains[kind] == pytest.approx(1 - errors.average_precision, abs=1e-12)
    assert all(errors.gains[name] == 0 for name in ERROR_KINDS if name != kind)


def test_the_gain_of_a_missed_object_by_hand():
    """One of two cats is found: precision 1 at the 51 recalls up to 0.5, 0 at the other 50."""
    errors = analysed((found(CAT, DOG), OBJECTS)).errors
    assert errors.average_precision == pytest.approx((51 / 101 + 1) / 2)
    assert errors.gains["missed"] == pytest.approx(25 / 101)
    assert errors.false_negative_gain == pytest.approx(25 / 101)
    assert errors.false_positive_gain == 0


def test_the_gain_of_a_background_error_by_hand():
    """Of the cats the wrong one is best: precision 1/2, 2/3, so 2/3 everywhere."""
    errors = analysed((found(*ONE_ERROR["background"]), OBJECTS)).errors
    assert errors.average_precision == pytest.approx((2 / 3 + 1) / 2)
    assert errors.gains["background"] == pytest.approx(1 / 6)
    assert errors.false_positive_gain == pytest.approx(1 / 6)
    assert errors.counts["background"].tolist() == [1, 0]


def test_of_two_errors_for_one_object_the_best_is_repaired_and_the_other_goes():
    shifted = [[130, 0, 170, 40], [70, 0, 110, 40]]
    images = (found(CAT, DOG, (0, 0.8, shifted[0]), (0, 0.7, shifted[1])), OBJECTS)
    errors = analysed(images).errors
    assert errors.counts["localisation"].sum() == 2
    assert errors.gains["localisation"] == pytest.approx(1 - errors.average_precision)


def test_a_repair_does_not_match_a_matched_object_again():
    errors = analysed((found(CAT, (0, 0.8, B), DOG, (0, 0.95, [30, 0, 70, 40])), OBJECTS)).errors
    assert errors.counts["localisation"].tolist() == [1, 0]
    assert errors.gains["localisation"] == pytest.approx(1 - errors.average_precision)


def test_all_missed_and_nothing_else_gains_everything():
    errors = analysed((found(), OBJECTS)).errors
    assert (errors.average_precision, errors.gains["missed"]) == (0, 1)
    assert errors.counts["missed"].tolist() == [2, 1]


def test_detection_inside_an_ignored_object_is_no_error():
    objects = target((0, A), (1, C), (0, [300, 300, 500, 500]), ignored=[2])
    errors = analysed((found(CAT, DOG, (0, 0.95, NOWHERE)), objects)).errors
    assert errors.average_precision == pytest.approx(1)
    assert all(counts.sum() == 0 for counts in errors.counts.values())


@pytest.mark.parametrize("seed", range(4))
def test_every_wrong_detection_and_every_object_has_one_kind(seed):
    rows = scenes(random_annotations(seed), seed)
    errors = analysed_rows(rows).errors
    assert sum(int(counts.sum()) for counts in errors.counts.values()) > 20
    assert all(0 <= gain <= 1 - errors.average_precision + 1e-12 for gain in errors.gains.values())
    assert errors.false_positive_gain >= max(
        errors.gains[kind] for kind in ("both", "duplicate", "background")
    )


def test_confusion_by_hand():
    detections = found(
        *[(0, 0.9, A), (1, 0.8, B), (1, 0.7, C), (0, 0.6, C), (0, 0.9, NOWHERE), (0, 0.01, D)]
    )
    analysis = analysed((detections, target((0, A), (0, B), (1, C), (0, D))))
    # Best F1 over all: 0.9 right, 0.9 wrong, 0.8 wrong, 0.7 right: F1 2*2/(4+4) = 0.5; with the
    # last one 2*3/(6+4) = 0.6, so everything counts.
    assert analysis.confusion.score_threshold < 0.01
    assert analysis.confusion.counts.tolist() == [
        [2, 1, 0],  # cats: A and D right, B called a dog
        [0, 1, 0],  # the dog
        [2, 0, 0],  # two cats that are none: nowhere, and a second box of C
    ]
    assert analysis.confusion.shares()[0].tolist() == pytest.approx([2 / 3, 1 / 3, 0])


def test_confusion_leaves_out_low_scores_and_ignored_objects():
    wrong = [(1, 0.2 + i / 100, NOWHERE) for i in range(8)]
    objects = target((0, A), (0, B), (1, C), (1, D), ignored=[3])
    analysis = analysed((found(CAT, DOG, (1, 0.95, D), *wrong), objects))
    assert analysis.confusion.score_threshold == pytest.approx((0.9 + 0.27) / 2)
    assert analysis.confusion.counts.tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize("seed", range(3))
def test_confusion_counts_every_object_and_every_shown_detection_once(seed):
    rows = scenes(random_annotations(seed), seed, noise=8)
    rows = [(i, some, target.select(~target.ignored)) for i, some, target in rows]
    table = analysed_rows(rows).confusion
    objects = torch.cat([objects.labels for _, _, objects in rows])
    shown = torch.cat([some.labels[some.scores >= table.score_threshold] for _, some, _ in rows])
    assert table.counts[:-1].sum(axis=1).tolist() == torch.bincount(objects, minlength=4).tolist()
    assert table.counts[:, :-1].sum(axis=0).tolist() == torch.bincount(shown, minlength=4).tolist()


def test_score_thresholds_by_hand():
    """Cats by score: 0.9 right, 0.7 wrong, 0.6 right, 0.3 wrong; three cats, so one is missed."""
    rows = [(0, 0.9, A), (0, 0.7, NOWHERE), (0, 0.6, B), (0, 0.3, NOWHERE)]
    thresholds = analysed((found(*rows), target((0, A), (0, B), (0, C)))).thresholds
    # F1 = 2 right / (detections + objects): 2/4, 2/5, 4/6, 4/7.
    best = thresholds.best[0]
    assert best.score_threshold == pytest.approx(0.45)
    assert (best.precision, best.recall, best.f1) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert thresholds.best[2] == best  # all classes together
    assert math.isnan(thresholds.best[1].f1)  # no dogs
    at = {round(float(score), 3): i for i, score in enumerate(thresholds.scores)}
    assert thresholds.precision[0, at[0.8]] == 1
    assert thresholds.recall[0, at[0.8]] == pytest.approx(1 / 3)
    assert thresholds.f1[0, at[0.65]] == pytest.approx(2 / 5)
    assert math.isnan(thresholds.precision[0, at[1.0]])
    assert thresholds.f1[0, at[1.0]] == 0


def test_equal_scores_are_kept_or_left_out_together():
    rows = [(0, 0.5, A), (0, 0.5, NOWHERE), (0, 0.5, B)]
    best = analysed((found(*rows), target((0, A), (0, B)))).thresholds.best[0]
    assert 0.45 < best.score_threshold < 0.5
    assert best.precision == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    "images",
    [[], [(found(), target())], [(found(CAT), target())], [(found(), OBJECTS)]],
    ids=["no images", "nothing", "no objects", "no detections"],
)
def test_sets_without_objects_or_detections_have_an_analysis(images):
    analysis = analysed(*images)
    content = json.loads(metrics_json({"AP": 0.5}, analysis_content(analysis)))
    assert content["AP"] == 0.5
    assert content["analysis"]["images"] == len(images)
    assert "nan" not in errors_table(analysis)


def test_errors_without_objects_are_counted_and_gain_nothing():
    text = errors_table(analysed((found(CAT), target())))
    assert text == "no AP, since there are no objects to find; errors: 1 background"


def test_json_holds_plain_numbers_by_name():
    content = analysis_content(analysed((found(*ONE_ERROR["background"]), OBJECTS)))
    text = metrics_json({"AP": math.nan}, content)
    back = json.loads(text)["analysis"]
    assert back["errors"]["counts_by_class"]["cat"]["background"] == 1
    assert back["precision_recall"]["precision"]["IoU 0.75"]["dog"] == [1.0] * 101
    assert back["objects_by_size"] == {"small": 0, "medium": 3, "large": 0}
    assert back["confusion"]["counts"][0] == [2, 0, 0]
    assert len(text.splitlines()) < 125  # a list of numbers is one line


def test_the_printed_split_names_every_kind():
    text = errors_table(analysed((found(*ONE_ERROR["missed"]), OBJECTS)))
    assert all(kind in text for kind in ERROR_KINDS)
    assert "missed          +0.248        1  ████" in text
    assert "best F1 0.800 at score_threshold=0.9" in text.replace("0.89", "0.9")
    assert max(map(len, text.splitlines())) <= 80
