"""The progress line of a sweep's running jobs."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from detkit.runs.layout import RunFolder
from detkit.runs.progress_file import Status, write_status
from detkit.sweeps.jobs.job import Job
from detkit.sweeps.jobs.progress_line import ProgressLine, job_progress, running_text


def job(folder: Path, **more: str) -> Job:
    return Job(folder, id="0a1b", words=["seed=1"], state="running", **more)


def test_epoch_and_time_left_of_a_job(tmp_path: Path) -> None:
    assert job_progress(job(tmp_path)) == "starting"
    write_status(tmp_path, Status(1, 12, 0.0, None))
    assert job_progress(job(tmp_path)) == "epoch 1/12"
    write_status(tmp_path, Status(2, None, 0.25, 90.0))
    assert job_progress(job(tmp_path)) == "epoch 2, 25%, 1 min 30 s left"
    write_status(tmp_path, Status(12, 12, 1.0, 0.0, "measuring"))
    assert job_progress(job(tmp_path)) == "measuring the best checkpoint"


def test_the_status_of_an_earlier_attempt_does_not_count(tmp_path: Path) -> None:
    write_status(tmp_path, Status(3, 12, 0.2, 60.0))
    os.utime(RunFolder(tmp_path).progress, (0, 0))
    assert job_progress(job(tmp_path, started="2026-01-01T00:00:00")) == "starting"


def test_running_and_waiting_jobs_are_counted(tmp_path: Path) -> None:
    one = job(tmp_path)
    assert running_text([], 3) == ""
    assert running_text([one], 0) == "1 job running: seed=1: starting"
    text = running_text([one, one], 1)
    assert text == "2 jobs running, 1 waiting: seed=1: starting; seed=1: starting"


def test_epoch_and_time_left_of_a_job_with_a_long_title_fit_into_the_terminal(
    tmp_path: Path,
) -> None:
    write_status(tmp_path, Status(2, 12, 0.25, 90.0))
    words = ["model.head.box_loss=giou", "model.head.box_loss.weight=2", "optimizer.momentum=0.5"]
    long = Job(tmp_path, id="0a1b", words=words, state="running")
    text = running_text([long], 11, 79)
    assert len(text) <= 79
    assert text.endswith("m=0.5: epoch 2/12, 1 min 30 s left")
    both = running_text([long, long], 11, 119)
    assert len(both) <= 119
    assert both.count("epoch 2/12, 1 min 30 s left") == 2


def test_a_line_is_written_in_a_while_outside_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages: list[str] = []
    log = logging.getLogger("detkit.sweeps")
    monkeypatch.setattr(log, "info", lambda text, *values: messages.append(text % values))
    with ProgressLine() as shown:
        shown.show([job(tmp_path)], 2)
        assert messages == []
        monkeypatch.setattr("detkit.sweeps.jobs.progress_line._LINE_EVERY", 0.0)
        shown.show([job(tmp_path)], 2)
    assert messages == ["1 job running, 2 waiting: seed=1: starting"]
