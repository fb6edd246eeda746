"""Each check of boxes, on a data set with a finding."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from detkit.data.audit.evidence import Resizing
from detkit.data.audit.rules import audit
from detkit.data.transforms.resizing import Resize


@pytest.mark.parametrize(
    ("box", "kind"),
    [
        ((5, 5, 0, 9), "boxes without area"),
        ((20, 20, -6, 5), "inverted boxes"),
        ((float("nan"), 5, 9, 9), "boxes with NaN, infinite or missing numbers"),
        ((5, 5, float("inf"), 9), "boxes with NaN, infinite or missing numbers"),
        ((70, 5, 9, 9), "boxes completely outside of their image"),
    ],
    ids=["no area", "inverted", "NaN", "infinite", "outside"],
)
# pain 13
def test_a_box_that_cannot_be_used_is_named_as_annotated(maker, box, kind):
    maker.annotate("train", 3, "dog", box)
    found = maker.findings()[kind]
    assert (found.severity, found.count, found.total) == ("warning", 1, 61)
    example = found.examples[0]
    assert (example.split, example.name) == ("train", "train/2.png")
    assert example.detail.startswith("dog [")
    assert example.boxes[0][1] == box[1]


def test_many_boxes_without_area_are_an_error(maker):
    for number in range(1, 4):
        maker.annotate("train", number, "dog", (5, 5, 0, 9))
    assert maker.findings()["boxes without area"].severity == "error"  # 3 of 43


# pain 12
def test_a_box_of_an_unknown_class(maker):
    maker.annotate("train", 3, "bird", (5, 5, 9, 9))
    assert maker.findings()["boxes of an unknown class"].examples[0].name == "train/2.png"


def test_boxes_over_the_edge_by_little_and_by_much(maker):
    maker.annotate("train", 1, "cat", (-1, 4, 20, 20))
    maker.annotate("train", 2, "cat", (50, 4, 20, 20))
    found = maker.findings()
    slight = found["boxes slightly outside of their image"]
    far = found["boxes more than 2 pixels outside of their image"]
    assert (slight.severity, slight.examples[0].boxes) == ("note", ((-1, 4, 19, 24),))
    assert far.severity == "warning"
    assert far.examples[0].detail.endswith("6 pixels outside")


def test_boxes_of_other_images_are_an_error(maker):
    for number in range(1, 12):
        maker.annotate("train", number, "cat", (50, 4, 30, 20))
    found = maker.findings()["boxes more than 2 pixels outside of their image"]
    assert found.severity == "error"


def test_a_duplicate_box(maker):
    maker.annotate("val", 1, "cat", (4.2, 4, 20, 16))
    found = maker.findings()["duplicate boxes"]
    assert (found.count, found.counts, found.severity) == (1, {"val": 1}, "warning")


def test_one_place_with_two_classes(maker):
    maker.annotate("val", 1, "dog", (4, 4, 20, 16))
    found = maker.findings()
    assert "cat and dog" in found["equal boxes with different classes"].examples[0].detail
    assert "duplicate boxes" not in found


def test_a_crowd_over_an_object_is_no_double(maker):
    maker.annotate("val", 1, "cat", (4, 4, 20, 16), iscrowd=1)
    found = maker.findings()
    assert "duplicate boxes" not in found
    assert found["objects marked crowd or difficult"].counts == {"val": 1}


def test_box_sizes_are_those_that_the_detector_sees(maker):
    evidence = maker.evidence(resizing=Resizing(short_side=16, long_side=None, strides=(8, 16)))
    kinds = {finding.kind: finding for finding in audit(evidence)}
    small = kinds["boxes smaller than 8 pixels after resizing"]  # the cats, at a third of 20 x 16
    assert (small.count, small.severity) == (30, "warning")
    assert small.examples[0].detail.startswith("cat [4, 4, 24, 20], 6 pixels")


def test_long_and_covering_boxes(maker):
    maker.annotate("train", 1, "cat", (4, 40, 55, 4))
    maker.annotate("train", 1, "cat", (0, 0, 64, 47))
    found = maker.findings()
    long = found["boxes more than 10 times as long as wide"]
    assert (long.severity, long.examples[0].detail) == (
        "note",
        "cat [4, 40, 59, 44], sides 1 : 13.8",
    )
    assert found["boxes that cover 95% of their image or more"].count == 1


@pytest.mark.parametrize(
    ("resizing", "factor"),
    [
        (Resizing(short_side=96, enlarge=True), 2.0),
        (Resizing(short_side=96), 1.0),
        (Resizing(short_side=24), 0.5),
        (Resizing(short_side=24, long_side=16), 0.25),
    ],
)
def test_resizing_is_that_of_the_transform(resizing, factor, samples):
    values = resizing.factors(np.array([[48, 64]], dtype=np.int32))
    assert values.tolist() == [factor]
    transform = Resize(
        short_side=resizing.short_side, long_side=resizing.long_side, enlarge=resizing.enlarge
    )
    sample = transform(samples([[0, 0, 8, 8]], 48, 64), torch.Generator())
    assert sample.target.boxes[0].tolist() == [0, 0, 8 * factor, 8 * factor]
