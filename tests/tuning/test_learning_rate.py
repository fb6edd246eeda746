"""A range test of a configuration trains as the training would, and refuses what it cannot test."""

import csv
from pathlib import Path

import pytest
from tiny_run import TINY

import detkit
from detkit.config.compose import compose
from detkit.errors import UserError
from detkit.tuning.learning_rate import range_test

RANGE = {"lowest": 1e-6, "highest": 1.0, "steps": 20}


ONE_DEVICE = {
    "devices": 1,
    "num_nodes": 1,
    "accelerator": "cpu",
    "accumulate_grad_batches": 2,
}


@pytest.mark.parametrize(
    ("optimizer", "devices", "settings", "message"),
    [
        ({"learning_rate": 0.1}, 1, {"lowest": 2.0}, "lowest=2 and highest=1: expected rates with"),
        ({"learning_rate": 0.1}, 1, {"steps": 5}, "steps=5: the test needs 20 steps or more"),
        ({"learning_rate": 0.1}, 3, {}, "devices=1 .* trainer.accumulate_grad_batches=6"),
        ({}, 1, {}, "optimizer 'odd' has no learning_rate to vary"),
    ],
)
def test_what_cannot_be_tested_is_refused(optimizer, devices, settings, message):
    config = {
        "optimizer": {"name": "odd", **optimizer},
        "trainer": {**ONE_DEVICE, "devices": devices},
    }
    with pytest.raises(UserError, match=message):
        range_test(config, **{**RANGE, **settings})


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        [],
        ["trainer.accumulate_grad_batches=2", "data.batch_size=2"],
        ["trainer.precision=bf16", "trainer.gradient_clip_norm=1"],
        ["optimizer=adamw", "optimizer.layer_decay=0.5", "freeze={parts:[stem],until:1}"],
    ],
    ids=["plain", "accumulated", "bf16", "groups"],
)
def test_the_first_loss_is_that_of_the_training(words, tmp_path, monkeypatch, blank_figures):
    monkeypatch.chdir(tmp_path)
    words = [*TINY, *words, "trainer.max_epochs=1"]
    result = range_test(compose("train", words), **RANGE)
    run = detkit.train([*words, "run_folder=run"])
    with (Path(run.folder) / "metrics.csv").open() as file:
        first = next(csv.DictReader(file))
    assert len(result.losses) == RANGE["steps"]
    if "data.batch_size=2" not in words:  # there it is the loss of the step's last batch
        assert float(first["loss"]) == pytest.approx(result.losses[0], abs=0)
    assert not list(tmp_path.glob("detkit-tune-*"))
