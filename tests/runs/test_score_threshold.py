import json

import pytest
import torch

from detkit.runs.bundle import Bundle, write_bundle
from detkit.runs.checkpoint_record import Record
from detkit.runs.score_threshold import (
    USUAL,
    default_threshold,
    measured_class_thresholds,
    measured_threshold,
)


def run_with(folder, value):
    (folder / "checkpoints").mkdir()
    best = {"score_thresholds": {"all_classes": {"score_threshold": value}}}
    (folder / "metrics.json").write_text(json.dumps({"AP": 0.5, "analysis": best}))
    return folder / "checkpoints" / "best.ckpt"


def test_a_run_knows_the_threshold_of_its_best_f1(tmp_path):
    value, origin = default_threshold(run_with(tmp_path, 0.42))
    assert value == 0.42
    assert origin == "where F1 on the run's validation images was best"


@pytest.mark.parametrize("value", [None, 1.5, "0.4", True])
def test_an_invalid_threshold_is_not_used(tmp_path, value):
    assert measured_threshold(run_with(tmp_path, value)) is None


def test_a_checkpoint_on_its_own_gets_the_usual_threshold(tmp_path):
    value, origin = default_threshold(tmp_path / "moved.ckpt")
    assert value == USUAL
    assert "no measured F1" in origin


@pytest.mark.parametrize("value", [0.37, None])
def test_a_bundle_carries_the_threshold_of_its_run(tmp_path, value):
    record = Record({"model": {"name": "x"}}, ["cat"], [1], "0.1")
    write_bundle(Bundle(record, {"w": torch.zeros(1)}, 1, {}, value), tmp_path / "bundle")
    assert measured_threshold(tmp_path / "bundle" / "bundle.json") == value


def test_a_run_knows_the_thresholds_of_its_classes(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    points = {"cat": {"score_threshold": 0.2}, "dog": {"score_threshold": None}}
    content = {"analysis": {"score_thresholds": {"classes": points}}}
    (tmp_path / "metrics.json").write_text(json.dumps(content))
    checkpoint = tmp_path / "checkpoints/best.ckpt"
    assert measured_class_thresholds(checkpoint) == {"cat": 0.2}
    assert measured_class_thresholds(tmp_path / "elsewhere/moved.ckpt") is None


@pytest.mark.parametrize("values", [{"cat": 0.2}, None])
def test_a_bundle_carries_the_thresholds_of_classes(tmp_path, values):
    record = Record({"model": {"name": "x"}}, ["cat"], [1], "0.1")
    bundle = Bundle(record, {"w": torch.zeros(1)}, 1, {}, class_thresholds=values)
    write_bundle(bundle, tmp_path / "bundle")
    assert measured_class_thresholds(tmp_path / "bundle" / "bundle.json") == values
