"""The audit on real photographs."""

from __future__ import annotations

import pytest

from detkit.data.audit.audit_report import as_plain, as_text
from detkit.data.audit.evidence import Evidence, gather
from detkit.data.audit.rules import audit
from detkit.data.audit.statistics import split_statistics
from detkit.data.readers.auto import AutoReader

pytestmark = pytest.mark.needs_bccd


@pytest.fixture(scope="module")
def evidence(bccd) -> Evidence:
    return gather(AutoReader(), bccd)


# pain 13
def test_the_two_boxes_without_area_are_named_and_training_continues(evidence):
    found = {finding.kind: finding for finding in audit(evidence)}
    empty = found["boxes without area"]
    assert (empty.severity, empty.count, empty.total) == ("warning", 2, 4888)
    names = {(example.split, example.name) for example in empty.examples}
    assert names == {
        ("train", "JPEGImages/BloodImage_00343.jpg"),
        ("val", "JPEGImages/BloodImage_00338.jpg"),
    }


def test_the_two_scenes_photographed_twice_are_found_and_nothing_else(evidence):
    findings = {finding.kind: finding for finding in audit(evidence)}
    pairs = {
        frozenset({(e.split, e.name[-7:-4]), (e.twin[0], e.twin[1][-7:-4])})
        for e in findings["near-duplicate images in two splits"].examples
    }
    assert pairs == {
        frozenset({("train", "038"), ("val", "037")}),
        frozenset({("val", "386"), ("test", "391")}),
    }
    assert {kind: finding.severity for kind, finding in findings.items()} == {
        "boxes without area": "warning",
        "near-duplicate images in two splits": "warning",
        "kinds of values that are not used": "note",  # VOC's `truncated`
    }


def test_report(evidence):
    findings = audit(evidence)
    text = as_text(evidence, findings, 100)
    assert "train  205 images, 2,805 boxes" in text
    assert "trainval is the union of train and val" in text
    assert text.endswith("2 warnings, 1 note: training on this data would not suffer.")
    plain = as_plain(evidence, findings)
    assert plain["training_would_be_hurt"] is False
    assert [finding["count"] for finding in plain["findings"]] == [2, 2, 3]


def test_statistics(evidence):
    numbers = {s.name: split_statistics(s, evidence.resizing) for s in evidence.splits}
    assert [numbers[name].images for name in ("train", "val", "test")] == [205, 87, 72]
    assert sum(found.objects for found in numbers.values()) == 4886
    platelets = [found.classes["Platelets"].objects for found in numbers.values()]
    assert sum(platelets) == 361
    assert numbers["train"].image_sizes == {"640 x 480": 205}
