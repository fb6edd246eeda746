"""Declared splits that cannot be read, or whose role is unknown."""

import pytest

from detkit.data.audit.evidence import gather
from detkit.data.audit.rules import audit
from detkit.data.readers.yolo_reader import YoloReader


def findings(path, **options):
    evidence = gather(YoloReader(), path, **options)
    return {finding.kind: finding for finding in audit(evidence)}


def declare(yolo, *entries):
    (yolo / "data.yaml").write_text("\n".join(["names: [dog, cat]", *entries]))


# pain 32
@pytest.mark.parametrize(("entry", "severity"), [
    ("val: images/vall", "error"), ("val:", "error"), ("test: ../test/images", "warning"),
])  # fmt: skip
def test_a_split_that_cannot_be_read_is_an_error_unless_it_is_the_test_split(yolo, entry, severity):
    declare(yolo, "train: images/train", entry)
    finding = findings(yolo)["splits that cannot be read"]
    assert finding.severity == severity
    assert f"`{entry}`" in finding.examples[0].detail


# pain 32
def test_splits_without_a_validation_split_among_them_are_an_error(yolo):
    (yolo / "images/val").rename(yolo / "images/test")
    finding = findings(yolo)["no validation split"]
    assert finding.severity == "error"
    assert "or data.validation_split=test to validate on that split" in finding.advice


# pain 32
@pytest.mark.parametrize(("names", "severity"), [
    (("part1", "part2"), "error"), (("val", "test"), "error"), (("train", "test"), None),
])  # fmt: skip
def test_splits_without_a_training_split_among_them_are_an_error(yolo, names, severity):
    for old, new in zip(("train", "val"), names, strict=False):
        (yolo / "images" / old).rename(yolo / "images" / f"{new}_x")
    lists = {name: f"images/{name}_x" for name in names}
    declare(yolo, *(f"{name}: {folder}" for name, folder in lists.items()))
    finding = findings(yolo).get("no training split")
    assert (finding and finding.severity) == severity


def test_a_split_may_be_chosen_by_another_word_for_it(yolo):
    evidence = gather(YoloReader(), yolo, requested=["validation"])
    assert [split.name for split in evidence.splits] == ["val"]


def test_lists_of_another_machine_are_a_note(yolo):
    (yolo / "train.txt").write_text("/content/x/images/train/a.jpg\n")
    declare(yolo, "train: train.txt", "val: images/val")
    finding = findings(yolo)["files with paths from another machine, matched by their endings"]
    assert (finding.severity, finding.examples[0].name) == ("note", "train.txt")
