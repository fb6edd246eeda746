"""When images and annotations without a counterpart fail the check."""

from dataclasses import replace
from pathlib import Path

import pytest

from detkit.data.audit.evidence import Evidence, Split
from detkit.data.audit.findings import Limits
from detkit.data.audit.pairing_checks import (
    annotations_without_image,
    images_without_annotation,
    unequal_names,
)
from detkit.data.audit.rules import audit
from detkit.data.readers.coco_reader import CocoReader
from detkit.structures import Pairing


@pytest.fixture
def evidence(maker):
    """The evidence of 20 training images with some pairing."""
    index = CocoReader().read(maker.write(), "train")

    def make(**pairing):
        split = Split("train", replace(index, pairing=Pairing("label file", **pairing)))
        return Evidence(Path("data"), [split])

    return make


def names(count):
    return [f"{number}.txt" for number in range(count)]


# pain 30
@pytest.mark.parametrize(("lone", "missing", "severity"), [
    (1, 0, "warning"), (2, 0, "error"), (1, 1, "error"),
])  # fmt: skip
def test_many_annotations_without_an_image_are_an_error(evidence, lone, missing, severity):
    pairing = {
        "annotations_without_image": names(lone),
        "images_without_annotation": names(missing),
    }
    (finding,) = annotations_without_image(evidence(**pairing), Limits())
    assert (finding.severity, finding.count) == (severity, lone)
    assert finding.kind == "label files without an image"
    assert finding.examples[0].name == "0.txt"


@pytest.mark.parametrize(("missing", "severity"), [(1, "note"), (2, "warning"), (7, "error")])
def test_many_images_without_an_annotation_are_an_error(evidence, missing, severity):
    lone = evidence(images_without_annotation=names(missing))
    (finding,) = images_without_annotation(lone, Limits())
    assert (finding.severity, finding.count, finding.total) == (severity, missing, 20)
    assert "train as background. Write an empty label file" in finding.advice


def test_unused_images_are_counted_beside_the_split(evidence):
    lone = evidence(images_without_annotation=names(5), images_train=False)
    (finding,) = images_without_annotation(lone, Limits())
    assert (finding.total, finding.severity) == (25, "warning")
    assert "They are not used" in finding.advice


def test_matches_of_unequal_names_are_counted(evidence):
    matched = evidence(matches={"URL-decoded name": 3, "name in another folder": 2})
    (finding,) = unequal_names(matched, Limits())
    assert (finding.count, finding.severity) == (5, "note")
    assert [example.detail for example in finding.examples] == [
        "3 by URL-decoded name",
        "2 by name in another folder",
    ]


def test_the_checks_are_in_the_list(maker):
    sound = maker.evidence()
    split = sound.splits[0]
    index = replace(split.index, pairing=Pairing(annotations_without_image=names(1)))
    spoilt = replace(sound, splits=[replace(split, index=index), *sound.splits[1:]])
    assert "annotations without an image" in [finding.kind for finding in audit(spoilt)]
