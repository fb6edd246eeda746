"""The model card of an uploaded bundle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from detkit.runs.checkpoint import Checkpoint
from detkit.runs.checkpoint_record import Record
from detkit.weights.model_card import data_name, model_card

CONFIG = {"model": {"name": "one_stage"}, "data": {"path": "/data/bccd", "reader": {"name": "voc"}}}
RECORD = Record(CONFIG, ["WBC", "a|b"], [1, 2], data={"train": "1f2e"})
CHECKPOINT = Checkpoint(Path("best.ckpt"), RECORD, {"w": torch.zeros(2_500_000)}, 12, False)
BUNDLE: dict[str, Any] = {
    "files": {"weights.safetensors": {"bytes": 10_000_000}},
    "score_threshold": 0.4,
    "versions": {"detkit": "0.1.0"},
}


def card(metrics: dict[str, Any], licence: str | None = "mit") -> tuple[dict[str, Any], str]:
    """The front matter and the text."""
    text = model_card(CHECKPOINT, {**BUNDLE, "metrics": metrics}, "me/cells", licence)
    _, front_matter, page = text.split("---\n", 2)
    return yaml.safe_load(front_matter), page


def test_front_matter_names_library_task_licence_and_results() -> None:
    facts, _ = card({"AP": 0.61234, "AP50": 0.9, "AP_large": None})
    assert (facts["library_name"], facts["pipeline_tag"]) == ("detkit", "object-detection")
    assert facts["license"] == "mit"
    (index,) = facts["model-index"]
    assert index["name"] == "cells"
    (result,) = index["results"]
    assert result["dataset"] == {"name": "bccd", "type": "bccd", "split": "validation"}
    assert [metric["value"] for metric in result["metrics"]] == [0.6123, 0.9]


def test_page_has_classes_fingerprints_size_and_commands() -> None:
    _, page = card({"AP": 0.61234})
    assert "2 classes: WBC, a\\|b" in page
    assert "bccd; fingerprints: train `1f2e`" in page
    assert "| Size | 10.0 MB |" in page
    assert "2.5 M weights" in page
    assert "AP 0.612" in page
    assert "detkit predict ckpt=hf://me/cells" in page


@pytest.mark.parametrize("metrics", [{}, {"AP": None}, {"AP": float("nan")}])
def test_nothing_is_claimed_that_was_not_measured(metrics: dict[str, Any]) -> None:
    facts, page = card(metrics, licence=None)
    assert "model-index" not in facts
    assert "license" not in facts
    assert "not measured" in page
    assert "| Licence | not stated |" in page


def test_the_origin_of_the_weights_is_named() -> None:
    source = {"file": "yolov8n.pth", "kind": "Ultralytics YOLOv8", "sha256": "0"}
    record = replace(RECORD, source=source, config={**CONFIG, "weights": "hf://me/first"})
    page = model_card(replace(CHECKPOINT, record=record), BUNDLE, "me/cells", None)
    assert "| Made from | Ultralytics YOLOv8, yolov8n.pth |" in page
    assert "| Made from | hf://me/first |" in page
    assert "Made from" not in card({})[1]


def test_data_without_a_path_is_named_after_its_reader() -> None:
    assert data_name({"data": {"path": None, "reader": {"name": "shapes"}}}) == "shapes"
