"""A run folder read by a program."""

import pytest

import detkit


def test_a_run_has_its_configuration_and_class_names(tiny_run):
    assert tiny_run.config["trainer.max_epochs"] == 2
    assert tiny_run.class_names[:2] == ("circle", "cross")
    with pytest.raises(detkit.UserError, match="read from a file, which has no history"):
        tiny_run.config.history("seed")


def test_metrics_are_numbers_without_empty_cells(tiny_run):
    rows = tiny_run.metrics
    assert [row["step"] for row in rows if "loss" in row or "train/loss" in row] != []
    assert all(isinstance(row["step"], int) for row in rows)
    assert any(name.endswith("AP") and 0 <= row[name] <= 1 for row in rows for name in row)


def test_checkpoints_are_files_of_the_folder(tiny_run):
    assert tiny_run.last_checkpoint == tiny_run.folder / "checkpoints" / "last.ckpt"
    assert tiny_run.best_checkpoint.parent == tiny_run.last_checkpoint.parent


def test_the_detector_of_a_run_is_loaded(tiny_run):
    assert tiny_run.load(device="cpu").class_names == tiny_run.class_names


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(detkit.UserError, match="contains no run; give a folder that detkit train"):
        detkit.Run(tmp_path)


def test_a_run_without_checkpoint_says_so(tiny_run, tmp_path):
    (tmp_path / "config.yaml").write_text(tiny_run.config.to_yaml())
    run = detkit.Run(tmp_path)
    assert run.metrics == []
    with pytest.raises(detkit.UserError, match="the folder holds no checkpoints"):
        _ = run.last_checkpoint
