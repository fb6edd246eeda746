"""Training on with more classes: old ones keep their weights, and missing labels are reported."""

from dataclasses import replace

import torch
from test_transfer import logits_of, slots
from weight_fakes import classes, source_of, tiny_detector, tiny_model

from detkit.structures import ClassCounts
from detkit.weights.class_layers import class_rows
from detkit.weights.transfer import Coverage, transfer
from detkit.weights.unlabelled_classes import unlabelled_classes
from detkit.weights.weight_source import WeightSource

FILE = WeightSource(path="runs/old", kind="test", tensors={})


def counted(names, *objects):
    return replace(classes(names), counts=ClassCounts(9, list(objects), list(objects)))


def test_added_classes_leave_the_weights_of_old_ones_unchanged():
    old, new = tiny_detector("ab", seed=1), tiny_detector(["new", "a", "b"], seed=2)
    first = logits_of(new)[:, 0].clone()
    rows = class_rows(tiny_model(), classes(["new", "a", "b"]))
    transfer(new, source_of(old, slots("a", "b")), ["new", "a", "b"], rows)
    assert torch.equal(logits_of(new)[:, 1:], logits_of(old))
    assert torch.equal(logits_of(new)[:, 0], first)


def test_old_classes_without_objects_are_reported():
    coverage = Coverage(classes=["a", "b"], new_classes=["new"])
    (warning,) = unlabelled_classes(coverage, FILE, counted(["a", "b", "new"], 0, 0, 4))
    assert "classes 'a', 'b' have no object in the training images" in warning
    assert "the detector unlearns them" in warning
    assert "detkit predict ckpt=runs/old source=IMAGES" in warning


def test_labelled_classes_and_unknown_counts_are_no_reason_to_warn():
    coverage = Coverage(classes=["a"], new_classes=["new"], left_classes=["b"])
    assert not unlabelled_classes(coverage, FILE, counted(["a", "new"], 1, 4))
    assert not unlabelled_classes(coverage, FILE, classes(["a", "new"]))


def test_old_classes_that_the_data_set_does_not_list_are_reported():
    source = replace(FILE, checkpoint=object())
    coverage = Coverage(new_classes=["new"], left_classes=["a"])
    (warning,) = unlabelled_classes(coverage, source, classes(["new"]))
    assert "does not list class 'a', which the new detector will not detect" in warning
    assert "add the name to the classes of the data set" in warning
