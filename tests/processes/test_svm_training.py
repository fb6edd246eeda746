"""A training that ends with SVMs, and what becomes of its checkpoints."""

import json
import logging

import pytest
import torch
from tiny_run import TINY

import detkit
from detkit.cli.main import main

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("blank_figures")]
pytest.importorskip("sklearn", reason="SVMs need scikit-learn")

WORDS = [
    *(word for word in TINY if word.startswith(("data.", "trainer.", "callbacks="))),
    "model=rcnn",
    "model.roi_head.pooling.size=32",
    "model.roi_head.pooling.context=4",
    "model/roi_head/box_head/backbone=timm",
    "model.roi_head.box_head.backbone.model=test_resnet",
    "model.roi_head.box_head.width=16",
    "model.roi_head.box_head.cells=1",
    "model.roi_head.svm_cost=0.001",
    "run_folder=run",
]
PREFIX = "detector.roi_head.stage."


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    detkit.train(WORDS)
    return tmp_path


def state(path):
    return torch.load(path, weights_only=True)["state_dict"]


def scores(folder, *overrides):
    words = ["model.roi_head.postprocess.score_threshold=0", *overrides]
    detector = detkit.load(folder / "run", device="cpu", overrides=words)
    image = next(folder.rglob("val/*.jpg"))
    return detector.predict(image, threshold=0)[0].scores


def test_the_best_checkpoint_scores_by_svms_everywhere(folder, caplog):
    best, last = (state(folder / f"run/checkpoints/{n}.ckpt") for n in ("best", "last"))
    assert best[f"{PREFIX}svms.fitted"]
    assert not last[f"{PREFIX}svms.fitted"]
    assert scores(folder).tolist() != scores(folder, "model.roi_head.svm_cost=null").tolist()
    assert main(["evaluate", "ckpt=run", "output=measured"]) == 0
    measured = json.loads((folder / "measured/metrics.json").read_text())
    assert measured == json.loads((folder / "run/metrics.json").read_text())
    with caplog.at_level(logging.WARNING):
        assert main(["evaluate", "ckpt=run/checkpoints/last.ckpt", "output=other"]) == 0
    assert "its SVMs are not fitted yet, so softmax scores the classes" in caplog.text


def test_a_resumed_run_fits_new_svms(folder):
    first = state(folder / "run/checkpoints/best.ckpt")[f"{PREFIX}svms.weight"]
    detkit.train(["ckpt=run/checkpoints/best.ckpt", "trainer.max_epochs=3"])
    paths = [folder / f"run/checkpoints/{n}.ckpt" for n in ("best", "last")]
    epochs = [torch.load(path, weights_only=True)["epoch"] for path in paths]
    again = state(paths[0])
    assert again[f"{PREFIX}svms.fitted"]
    if epochs[0] == epochs[1]:
        assert not torch.equal(again[f"{PREFIX}svms.weight"], first)
    assert not state(paths[1])[f"{PREFIX}svms.fitted"]
