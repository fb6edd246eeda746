"""Ctrl-C in a terminal, and the run folder afterwards."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_run import TINY

from detkit.cli.main import main
from detkit.training.metrics_file import read_metrics


def start(*words: str) -> subprocess.Popen[str]:
    """A command with its workers in a process group of their own, as a terminal makes it."""
    command = [sys.executable, "-m", "detkit.cli.main", *words]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def wait_for_steps(process: subprocess.Popen[str], folder: Path) -> None:
    while process.poll() is None and len(read_metrics(folder / "metrics.csv")) < 2:
        time.sleep(0.02)


LONG = [*TINY, "data.workers=1", "data.reader.train_images=200", "trainer.max_epochs=9"]


def test_ctrl_c_saves_says_how_to_go_on_and_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # pain 18
    monkeypatch.chdir(tmp_path)
    process = start("train", *LONG, "run_folder=run")
    wait_for_steps(process, tmp_path / "run")
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "stopping after this step" in said
    assert "Traceback" not in said
    assert "go on with: detkit train ckpt=run" in said
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)

    assert main(["train", "ckpt=run", "optimizer.momentum=0.5"]) == 2
    assert "optimizer.momentum: 0.9 -> 0.5" in capsys.readouterr().err
    words = ["trainer.max_epochs=1", "data.workers=0", "optimizer.learning_rate=0.001"]
    assert main(["train", "ckpt=run", *words]) == 0
    stopped = re.search(r"stopped (in epoch 1, batch \d+);", said)
    said = capsys.readouterr().err
    assert "changed: data.workers: 1 -> 0" in said
    assert "changed: optimizer.learning_rate: 0.01 -> 0.001 (from here on the run no lon" in said
    assert stopped is not None
    assert f"going on {stopped[1]}\n" in said
    rows = read_metrics(tmp_path / "run" / "metrics.csv")
    assert [int(row["step"]) for row in rows] == [*range(50), 49]  # the last is the validation
    done = int(stopped[1].split()[-1])
    assert all(float(row["learning_rate"]) < 0.001001 for row in rows[done:50])


def test_resuming_takes_a_run_folder(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = tmp_path / "last.ckpt"
    alone.write_bytes((work / "first" / "checkpoints" / "last.ckpt").read_bytes())
    assert main(["train", f"ckpt={alone}"]) == 2
    assert "this checkpoint lies in none" in capsys.readouterr().err
