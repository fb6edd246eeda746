"""What a bundle takes over from its run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from detkit.runs.checkpoint import Checkpoint
from detkit.runs.checkpoint_record import Record
from detkit.weights.bundling import bundle_checkpoint

DATA = {"path": "/home/me/cells", "reader": {"name": "voc", "images": "~/more/images"}}
RECORD = Record({"model": {"name": "one_stage"}, "data": DATA}, ["a"], [1])


def bundled(checkpoint: Path, folder: Path, **options: bool) -> tuple[dict, list[str]]:
    """The content of bundle.json, and the shortened paths."""
    content = Checkpoint(checkpoint, RECORD, {"w": torch.zeros(2)}, 3, resumable=False)
    shortened = bundle_checkpoint(content, folder, **options)
    return json.loads((folder / "bundle.json").read_text()), shortened


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    """The checkpoints of a finished run."""
    (tmp_path / "checkpoints").mkdir()
    metrics = {"AP": 0.5, "AP_large": None, "AP/a": 0.5, "analysis": {}}
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    return tmp_path / "checkpoints"


def test_numbers_belong_to_the_best_checkpoint_alone(checkpoints: Path, tmp_path: Path) -> None:
    assert bundled(checkpoints / "best.ckpt", tmp_path / "a")[0]["metrics"] == {"AP": 0.5}
    assert bundled(checkpoints / "last.ckpt", tmp_path / "b")[0]["metrics"] is None


def test_a_bundle_of_a_bundle_keeps_the_numbers(checkpoints: Path, tmp_path: Path) -> None:
    bundled(checkpoints / "best.ckpt", tmp_path / "a")
    assert bundled(tmp_path / "a/bundle.json", tmp_path / "b")[0]["metrics"] == {"AP": 0.5}


def test_absolute_paths_are_shortened_on_request(checkpoints: Path, tmp_path: Path) -> None:
    _, shortened = bundled(checkpoints / "best.ckpt", tmp_path / "a", shorten_paths=True)
    assert shortened == ["/home/me/cells", "~/more/images"]
    text = (tmp_path / "a/config.yaml").read_text()
    assert "path: cells\n" in text
    assert "images: images\n" in text
    bundled(checkpoints / "best.ckpt", tmp_path / "b")
    assert "/home/me/cells" in (tmp_path / "b/config.yaml").read_text()
