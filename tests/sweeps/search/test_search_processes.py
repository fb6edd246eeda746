"""Searches in processes that are killed or share a study."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

pytest.importorskip("optuna")

from detkit.sweeps.jobs.job import Job
from detkit.sweeps.jobs.sweep_folder import SweepFolder

SCRIPT = Path(__file__).with_name("pretended_search.py")


def begin(folder: Path, trials: int, pruner: str = "none") -> subprocess.Popen:
    command = [sys.executable, str(SCRIPT), "search", str(folder), str(trials), pruner]
    return subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})


def rows(job: Job) -> list[str]:
    return (job.folder / "metrics.csv").read_text(encoding="utf-8").splitlines()[1:]


def wait_for(condition, seconds: float = 300.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
def test_a_killed_search_resumes_its_trials_and_ends_with_the_requested_number(tmp_path: Path):
    first = begin(tmp_path, trials=5)
    wait_for(lambda: sum(1 for _ in tmp_path.glob("*/metrics.csv")) == 2)
    second_job = max(tmp_path.glob("*/metrics.csv"), key=lambda path: path.stat().st_mtime).parent
    wait_for(lambda: len(rows(Job.load(second_job))) >= 1)
    first.kill()
    first.wait()
    wait_for(lambda: Job.load(second_job).is_free())  # its jobs end with it
    half = Job.load(second_job)
    assert half.state == "stopped"
    assert begin(tmp_path, trials=5).wait(120) == 0
    jobs = SweepFolder.open(tmp_path).load()
    assert [job.state for job in jobs] == ["done"] * 5
    assert [len(rows(job)) for job in jobs] == [4] * 5  # no epoch is trained twice
    attempts = {job.folder: job.attempts for job in jobs}
    assert attempts.pop(half.folder) == 2
    assert set(attempts.values()) == {1}


@pytest.mark.slow
def test_two_processes_share_a_search_and_stop_unpromising_trials(tmp_path: Path):
    processes = [begin(tmp_path, trials=8, pruner="asha") for _ in range(2)]
    assert [process.wait(120) for process in processes] == [0, 0]
    jobs = SweepFolder.open(tmp_path).load()
    assert [job.attempts for job in jobs] == [1] * 8
    spans = sorted((job.started, job.ended) for job in jobs)
    assert any(later[0] <= earlier[1] for earlier, later in pairwise(spans))
    pruned = [job for job in jobs if job.state == "pruned"]
    # One that falls behind may have come to its end before it can be stopped.
    assert any(len(rows(job)) < 4 and job.exit_code == 143 for job in pruned)
    done = [job for job in jobs if job not in pruned]
    assert [(job.state, len(rows(job))) for job in done] == [("done", 4)] * len(done)
