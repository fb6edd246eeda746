"""The checkpoint that a run resumes from, and the command that resumes it."""

import os

import pytest

from detkit.errors import UserError
from detkit.runs.layout import RunFolder
from detkit.runs.resume import (
    checkpoint_to_resume,
    folder_to_resume,
    resume_hint,
    run_without_checkpoint,
)

CONFIG = "model: {}\ndata: {}\nrun_folder: run\n"


def test_a_frozen_folder_that_is_started_again_resumes_from_its_own_checkpoint(tmp_path):
    last = tmp_path / "checkpoints/last.ckpt"
    assert checkpoint_to_resume("best.ckpt", tmp_path) == "best.ckpt"
    last.parent.mkdir()
    last.touch()
    (tmp_path / "config.yaml").touch()
    assert checkpoint_to_resume(None, tmp_path) == str(last)
    os.utime(last, (1, 1))  # as when the user has just frozen it to resume from another one
    assert checkpoint_to_resume("best.ckpt", tmp_path) == "best.ckpt"
    os.utime(tmp_path / "config.yaml", (0, 0))
    assert checkpoint_to_resume("best.ckpt", tmp_path) == str(last)


def test_the_hint_is_the_command_that_resumes(tmp_path):
    assert resume_hint(tmp_path).endswith(f"begin again with: detkit train ckpt={tmp_path}")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    assert resume_hint(tmp_path).endswith(f"resume with: detkit train ckpt={tmp_path}")


def test_the_hint_quotes_a_folder_with_spaces(tmp_path):
    assert resume_hint(tmp_path / "my runs").endswith(f"detkit train 'ckpt={tmp_path}/my runs'")


def test_a_run_without_a_checkpoint_begins_again(tmp_path):
    assert run_without_checkpoint(str(tmp_path)) is None
    (tmp_path / "config.yaml").write_text(CONFIG)
    assert run_without_checkpoint(str(tmp_path)) == tmp_path


@pytest.mark.parametrize("name", ["best.ckpt", "checkpoints/last.ckpt", "metrics.json"])
def test_a_run_with_a_checkpoint_or_a_result_does_not_begin_again(tmp_path, name):
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / name).touch()
    assert run_without_checkpoint(str(tmp_path)) is None


def test_only_a_checkpoint_in_a_run_folder_is_resumed(tmp_path):
    run = RunFolder(tmp_path)
    with pytest.raises(UserError, match="is not in one: give the run folder"):
        folder_to_resume(run.last_checkpoint)
    run.config.touch()
    assert folder_to_resume(run.last_checkpoint).path == tmp_path
