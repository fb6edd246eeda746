"""A hopeless first validation prints a prominent warning with the things to check."""

import dataclasses
import math

import pytest
import torch
from training_fakes import Batches, TinyDetector, TinyMetric, batches, cpu_trainer, tiny_module

from detkit.structures import Detections, Target
from detkit.training.callbacks.first_validation import FirstValidation, Hits, verdict
from detkit.training.fit import fit

NAMES = ["cat", "dog", "cow"]


class Scripted(TinyMetric):
    """Gives these AP50s, validation by validation."""

    def __init__(self, *scores):
        super().__init__()
        self.coming = list(scores)

    def compute(self):
        score = self.coming.pop(0)
        return {"AP": score, "AP50": score}


class Shifted(TinyDetector):
    """Finds each object, one label too high."""

    def predict(self, batch):
        return [
            Detections(t.boxes + 0.1, torch.full((len(t),), 0.9), (t.labels + 1) % 3)
            for t in batch.original_targets
        ]


def objects(*labels, ignored=0):
    corners = torch.arange(len(labels)).float()[:, None] * 10
    boxes = torch.cat([corners, corners, corners + 8, corners + 8], dim=1)
    marks = torch.arange(len(labels)) < ignored
    return Target(boxes, torch.tensor(labels, dtype=torch.int64), marks)


def found(target, labels, scores=None, shift=0.0):
    scores = torch.full((len(target),), 0.9) if scores is None else torch.tensor(scores)
    return Detections(target.boxes + shift, scores, torch.tensor(labels, dtype=torch.int64))


def hits_of(*pairs):
    hits = Hits()
    for detections, target in pairs:
        hits.add(detections, target)
    return hits


def train(folder, scores, **parts):
    module = tiny_module(metric=Scripted(*scores), **parts)
    callbacks = [FirstValidation(class_names=NAMES)]
    trainer = cpu_trainer(folder, callbacks=callbacks, max_epochs=len(scores))
    loader = Batches(3)
    target = objects(0, 1)
    loader.batches = [dataclasses.replace(b, original_targets=[target] * 2) for b in loader.batches]
    fit(module, trainer, batches(2), loader)


# pain 11
@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([0.0, 0.0], "AP50 IS 0 AFTER THE FIRST VALIDATION: 2 detections in 2 images"),
        ([math.nan, 0.0], "the validation images have no object that counts"),
    ],
)
def test_validation_without_a_match_is_one_line_once(tmp_path, caplog, scores, message):
    train(tmp_path, scores)
    (record,) = caplog.records
    assert message in record.getMessage()
    assert "\n" not in record.getMessage()


# pain 12
def test_labels_off_by_one_are_reported_as_such(tmp_path, caplog):
    train(tmp_path, [0.0, 0.0], detector=Shifted())
    (record,) = caplog.records
    text = record.getMessage()
    assert "BOXES ARE FOUND, BUT OF OTHER CLASSES (AP50 0.000" in text
    assert "100% of 4 objects are found under another class" in text
    assert "'cat' as 'dog' (2), 'dog' as 'cow' (2)" in text
    assert "labels are off by +1 throughout" in text


def test_validation_with_a_match_is_silent(tmp_path, caplog):
    train(tmp_path, [0.01, 0.0])
    assert caplog.records == []


def test_nothing_detected_is_another_matter():
    target = objects(0, 1, 2)
    nothing = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    text = verdict(0.0, hits_of((nothing, target)), NAMES)
    assert "nothing was detected in 1 image. " in text
    assert "model.head.postprocess.score_threshold" in text


def test_swapped_names_are_no_shift():
    target = objects(0, 1, 2)
    text = verdict(0.0, hits_of((found(target, [1, 0, 0]), target)), NAMES)
    assert "'cat' as 'dog' (1), 'dog' as 'cat' (1), 'cow' as 'cat' (1)" in text
    assert "may be swapped or missing" in text


def test_best_detection_on_an_object_decides_and_ignored_objects_do_not_count():
    target = objects(0, 1, 2, ignored=1)
    twice = Detections(
        torch.cat([target.boxes, target.boxes]),
        torch.tensor([0.9, 0.9, 0.9, 0.1, 0.1, 0.1]),
        torch.tensor([2, 2, 2, 0, 1, 2]),
    )
    hits = hits_of((twice, target))
    assert (hits.objects, hits.right, hits.wrong) == (2, 0.5, 0.5)
    beside = hits_of((found(target, [1, 1, 1], shift=4.5), target))
    assert (beside.right, beside.wrong) == (0.0, 0.0)


def test_one_class_found_for_all_is_silent_where_it_is_common():
    target = objects(0, 0, 0, 0, 1, 2)  # an early model calls everything by the common name
    assert verdict(0.2, hits_of((found(target, [0] * 6), target)), NAMES) is None


def test_wrong_classes_are_reported_even_if_ap50_is_not_quite_zero():
    target = objects(*[0, 1, 2] * 5)
    labels = [1, 2, 0] * 4 + [0, 2, 0]
    text = verdict(0.04, hits_of((found(target, labels), target)), NAMES)
    assert "BOXES ARE FOUND, BUT OF OTHER CLASSES (AP50 0.040" in text
    assert "7% under their own" in text
