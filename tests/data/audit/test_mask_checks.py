"""Each check of masks, on a data set with a finding."""

from __future__ import annotations

import pytest

from detkit.data.audit.evidence import gather
from detkit.data.audit.rules import audit
from detkit.data.readers.coco_reader import CocoReader

BOX = (5, 5, 20, 20)
GOOD = [[5, 5, 25, 5, 25, 25, 5, 25]]
FAULTY = {
    "polygons with fewer than 3 points": [[5, 5, 25, 25]],
    "polygons whose coordinates are not pairs of numbers": [[5, 5, 25]],
    "masks that are neither polygons nor run-length encoding": {"size": [48, 64]},
    "masks of another size than their image": {"size": [64, 48], "counts": [3072]},
    "masks with damaged run-length encoding": {"size": [48, 64], "counts": [3]},
    "masks without area": [[5, 5, 25, 25, 15, 15]],
    "masks completely outside of their image": [[70, 5, 80, 5, 80, 15]],
    "masks that disagree with their box": [[5, 5, 15, 5, 15, 25, 5, 25]],
}


def findings(maker):
    evidence = gather(CocoReader(masks=True), maker.write())
    return {finding.kind: finding for finding in audit(evidence)}


@pytest.mark.parametrize("kind", FAULTY)
def test_a_faulty_mask_is_one_finding(maker, kind):
    maker.annotate("train", 3, "dog", BOX, segmentation=FAULTY[kind])
    found = findings(maker)
    found.pop("splits where some objects have no mask", None)  # where the mask is used
    assert list(found) == [kind]
    assert (found[kind].severity, found[kind].count) == ("warning", 1)
    assert (found[kind].examples[0].name, found[kind].total) == ("train/2.png", 61)
    assert "annotation 41" in found[kind].examples[0].detail


def test_a_good_mask_among_objects_without_one_is_a_note(maker):
    maker.annotate("train", 3, "dog", BOX, segmentation=GOOD)
    (found,) = findings(maker).values()
    assert found.severity == "note"
    assert found.examples[0].detail == "40 of 41 objects"
