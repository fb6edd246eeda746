"""Each check of classes and splits, on a data set with a finding."""

from __future__ import annotations

import shutil

import pytest

from detkit.data.audit.evidence import gather
from detkit.data.audit.rules import CHECKS, audit
from detkit.data.readers.coco_reader import CocoReader
from detkit.data.readers.voc_reader import VocReader
from detkit.errors import DataError


def name_classes(maker, split, names, first=1):
    categories = [{"id": first + i, "name": name} for i, name in enumerate(names)]
    maker.pages[split]["categories"] = categories


# pain 12
def test_classes_that_differ_between_splits_are_an_error(maker):
    name_classes(maker, "val", ["cat", "dig"])
    found = maker.findings()["splits with different classes"]
    assert found.severity == "error"
    assert found.examples[0].detail == "has 'dig' and lacks 'dog' (compared with 'train')"


def test_a_class_that_no_object_has_may_be_named_in_one_split_only(maker):
    name_classes(maker, "val", ["cat", "dog", "bird"])
    assert maker.findings()["splits with different classes"].severity == "warning"


def test_the_same_classes_in_another_order_are_a_note(maker):
    name_classes(maker, "val", ["dog", "cat"])
    found = maker.findings()["splits with the same classes in another order"]
    assert found.severity == "note"


@pytest.mark.parametrize(("used", "severity"), [(True, "error"), (False, "warning")])
def test_names_that_differ_in_case_and_spaces(maker, used, severity):
    for split in ("train", "val"):
        name_classes(maker, split, ["cat", "dog", " Dog"])
        for number in range(1, 11):
            if used:
                maker.annotate(split, number, " Dog", (40, 2, 8, 8))
    found = maker.findings()["classes whose names differ only in case or spaces"]
    assert found.severity == severity
    assert "'dog' (objects: 30) and 'Dog'" in found.examples[0].detail


def test_an_unused_class(maker):
    for split in ("train", "val"):
        name_classes(maker, split, ["cat", "dog", "bird"])
    found = maker.findings()["classes without any object"]
    assert [example.detail for example in found.examples] == ["'bird'"]


@pytest.mark.parametrize(
    ("without", "other", "severity"), [("train", "val", "error"), ("val", "train", "warning")]
)
def test_a_class_that_a_split_misses(maker, without, other, severity):
    for split in ("train", "val"):
        name_classes(maker, split, ["cat", "dog", "bird"])
    maker.annotate(other, 1, "bird", (40, 2, 8, 8))
    found = maker.findings()[f"classes without objects in '{without}'"]
    assert (found.severity, found.examples[0].detail) == (severity, "'bird' (1 elsewhere)")


# pain 12
def test_category_ids_with_gaps(maker):
    for split in ("train", "val"):
        maker.pages[split]["categories"] = [{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}]
        for annotation in maker.pages[split]["annotations"]:
            annotation["category_id"] = {1: 3, 2: 7}[annotation["category_id"]]
    found = maker.findings()["category ids with gaps"]
    assert (found.severity, found.examples[0].detail) == ("note", "ids start at 3; not used: 4-6")


# pain 14
def test_images_without_boxes_are_a_note(maker):
    maker.add("train", "empty.png", 30, [])
    found = maker.findings()["images without boxes"]
    assert (found.severity, found.examples[0].name) == ("note", "train/empty.png")
    for number in range(31, 60):
        maker.add("train", f"empty{number}.png", number, [])
    assert maker.findings()["images without boxes"].severity == "warning"


# pain 14
def test_a_validation_split_without_objects_is_an_error(maker):
    maker.pages["val"]["annotations"] = []
    found = maker.findings()["no object in 'val'"]
    assert (found.severity, found.examples[0].detail) == (
        "error",
        "10 images, none with an object",
    )


def test_many_objects_in_one_image(maker):
    for number in range(120):
        maker.annotate("train", 1, "cat", (number % 40, number // 40 * 12, 9, 9))
    found = maker.findings()["images with more than 100 objects"]
    assert (found.severity, found.examples[0].detail) == ("note", "122 objects")


def test_without_a_validation_split_a_note_says_what_happens(maker):
    del maker.pages["val"]
    shutil.rmtree(maker.root / "val")
    found = maker.findings()["no validation split"]
    assert (found.severity, found.count) == ("note", 1)


def test_a_split_of_two_others_together_is_not_counted_twice(voc):
    lists = voc / "ImageSets" / "Main"
    (lists / "trainval.txt").write_text("a\nb\nc\n")
    evidence = gather(VocReader(), voc)
    assert evidence.unions == {"trainval": ["train", "val"]}
    assert [split.name for split in evidence.splits] == ["train", "val"]
    chosen = gather(VocReader(), voc, requested=["trainval"])
    assert [split.name for split in chosen.splits] == ["trainval"]


def test_a_split_that_does_not_exist(maker):
    with pytest.raises(DataError, match=r"has no split 'vall'\. Did you mean 'val'\?"):
        gather(CocoReader(), maker.write(), requested=["vall"])


def test_each_check_describes_its_finding():
    for check in CHECKS:
        first = (check.__doc__ or "").split("\n")[0]
        assert first.endswith("."), check.__name__
    assert len({check.__name__ for check in CHECKS}) == len(CHECKS)


def test_errors_come_first(maker):
    maker.pages["val"]["annotations"] = []
    maker.annotate("train", 1, "cat", (-1, 4, 20, 20))
    maker.annotate("train", 1, "cat", (5, 5, 0, 4))
    severities = [finding.severity for finding in audit(maker.evidence())]
    assert severities == ["error", "warning", "note"]
