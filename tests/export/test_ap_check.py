"""AP of boxes and masks side by side."""

from dataclasses import replace

import numpy as np
import pytest
from export_graphs import Engine, detections

from detkit.export.ap_check import check_ap
from detkit.export.comparison import TOLERANCES, Comparison
from detkit.export.evidence import Evidence


class Numbers:
    """A metric with these numbers."""

    def __init__(self, ap, mask_ap=None):
        self.numbers = {"AP": ap} if mask_ap is None else {"AP": ap, "mask_AP": mask_ap}

    def compute(self):
        return self.numbers


def checked(expected, actual, mask_size=28):
    graph = detections()
    graph = replace(graph, metadata=replace(graph.metadata, mask_size=mask_size))
    evidence = Evidence(
        images=[],
        step=4,
        batches=[],
        reason="",
        metrics=(Numbers(*expected), Numbers(*actual)),
        predict=list,
    )
    comparison = Comparison(TOLERANCES["fp32"])
    return check_ap(graph, Engine(graph), "engine", evidence, comparison)


def test_mask_ap_is_shown_beside_that_of_boxes():
    check, ap = checked((0.5, 0.4), (0.5, 0.4))
    assert check.passed
    assert ".500 in PyTorch, .500 in engine on 0 images; mask AP .400 in PyTorch" in check.text
    assert ap.masks == {"PyTorch": 0.4, "engine": 0.4}


# pain 90
@pytest.mark.parametrize("actual", [(0.5, 0.39), (0.49, 0.4), (0.5,), (0.5, np.nan)])
def test_another_ap_of_boxes_or_masks_fails(actual):
    assert checked((0.5, 0.4), actual)[0].passed is False


def test_data_without_masks_are_named():
    check, ap = checked((0.5,), (0.5,))
    assert check.passed
    assert "; mask AP was not measured: the data or the metric have no masks" in check.text
    assert ap.masks == {}


def test_a_graph_without_masks_does_not_mention_them():
    assert "mask" not in checked((0.5,), (0.5,), mask_size=None)[0].text
