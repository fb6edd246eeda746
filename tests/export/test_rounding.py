"""Whether a certificate tells ties from errors."""

import copy

import numpy as np
import pytest
import torch
from export_graphs import Engine, detections

from detkit.export.comparison import TOLERANCES, Comparison
from detkit.export.rounding import rounding_note

IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 3, 16, 24)).astype(np.float32)


def test_scores_of_some_spread_do_not_depend_on_rounding():
    assert rounding_note(detections(), [IMAGES], TOLERANCES["fp32"]) == ""


@pytest.mark.parametrize("frequency", [1e6, 0.0], ids=["nearly equal", "equal"])
def test_detections_that_rounding_decides_are_named(frequency):
    note = rounding_note(detections(frequency), [IMAGES], TOLERANCES["fp32"])
    assert "in PyTorch itself, " in note
    assert "cannot be certified" in note


# pain 90
@pytest.mark.parametrize("layer", ["stem", "box", "score"])
def test_one_changed_weight_of_any_layer_is_a_difference(layer):
    network = detections()
    changed = copy.deepcopy(network)
    with torch.no_grad():
        changed.module.detector.get_submodule(layer).weight[0, 0].add_(0.3)
    comparison = Comparison(TOLERANCES["fp32"])
    comparison.add(Engine(network)(IMAGES), Engine(changed)(IMAGES))
    assert not comparison.is_close
