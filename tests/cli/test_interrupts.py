"""Signals that stop a training, and the run folder afterwards."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_run import TINY

from detkit.cli.main import main
from detkit.runs.metrics_logger import read_metrics
from detkit.runs.training_position import read_position

pytestmark = pytest.mark.usefixtures("blank_figures")

COMMAND = [sys.executable, "-m", "detkit.cli.main"]


def start(*words: str) -> subprocess.Popen[str]:
    """A command with its workers in a process group of their own, as a terminal makes it."""
    return subprocess.Popen(
        [*COMMAND, *words], stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def ended_by(process: subprocess.Popen[str], number: int) -> str:
    """Send a signal twice to a run's process group, as `timeout` does, and return its output."""
    os.killpg(process.pid, number)
    os.killpg(process.pid, number)
    _, printed = process.communicate(timeout=120)
    assert process.returncode == 128 + number, printed
    assert "Traceback" not in printed
    return printed


def wait_for_steps(process: subprocess.Popen[str], folder: Path) -> None:
    while process.poll() is None and len(read_metrics(folder / "metrics.csv")) < 2:
        time.sleep(0.02)


LONG = [*TINY, "data.workers=1", "data.reader.train_images=120", "trainer.max_epochs=9"]


@pytest.mark.slow
def test_ctrl_c_saves_prints_the_resume_command_and_leaves_no_process(
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
    assert "resume with: detkit train ckpt=run" in said
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)

    assert main(["train", "ckpt=run", "optimizer.momentum=0.5"]) == 2
    assert "optimizer.momentum: 0.9 -> 0.5" in capsys.readouterr().err
    words = ["trainer.max_epochs=1", "data.workers=0", "optimizer.learning_rate=0.001"]
    assert main(["train", "ckpt=run", *words]) == 0
    stopped = re.search(r"stopped (in epoch 1, batch \d+);", said)
    said = capsys.readouterr().err
    assert "changed: data.workers: 1 -> 0" in said
    assert "changed: optimizer.learning_rate: 0.01 -> 0.001 (from here on, the run diff" in said
    assert stopped is not None
    assert f"resuming {stopped[1]}\n" in said
    rows = read_metrics(tmp_path / "run" / "metrics.csv")
    assert [int(row["step"]) for row in rows] == [*range(30), 29]  # the last is the validation
    done = int(stopped[1].split()[-1])
    assert all(float(row["learning_rate"]) < 0.001001 for row in rows[done:30])


# pain 46
@pytest.mark.slow
def test_a_signal_to_all_processes_saves_and_ends_with_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    process = start("train", *LONG, "run_folder=run")
    wait_for_steps(process, tmp_path / "run")
    printed = ended_by(process, signal.SIGTERM)
    assert "resume with: detkit train ckpt=run" in printed
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()
    assert read_position(tmp_path / "run" / "checkpoints" / "last.ckpt").batch >= 2


SHORT = [*TINY, "data.workers=1", "data.reader.validation_images=40", "trainer.max_epochs=1"]
PHASES = {
    "start-up": lambda run: (run / "config.yaml").is_file(),
    "training": lambda run: len(read_metrics(run / "metrics.csv")) > 0,
    "validation": lambda run: len(read_metrics(run / "metrics.csv")) > 1,
    "measuring": lambda run: (run / "checkpoints" / "best.ckpt").is_file(),
}


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGUSR1"])
@pytest.mark.parametrize("phase", PHASES)
def test_every_phase_ends_in_order_and_the_run_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: str, name: str, devices: int
) -> None:
    # pain 46
    monkeypatch.chdir(tmp_path)
    both = ["trainer.accelerator=cpu", f"trainer.devices={devices}", "data.batch_size=2"]
    process = start("train", *SHORT, *both, "run_folder=run")
    while process.poll() is None and not PHASES[phase](tmp_path / "run"):
        time.sleep(0.01)
    ended_by(process, signal.Signals[name])
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    if phase != "start-up" and devices == 1:
        assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()
    assert subprocess.run([*COMMAND, "train", "ckpt=run"], check=False).returncode == 0
    assert (tmp_path / "run" / "metrics.json").is_file()


@pytest.mark.slow
def test_a_terminal_that_closes_saves(tmp_path: Path) -> None:
    # pain 46
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        os.execv(sys.executable, [*COMMAND, "train", *LONG, "run_folder=run"])
    while len(read_metrics(tmp_path / "run" / "metrics.csv")) < 2:
        if select.select([terminal], [], [], 0.05)[0]:
            os.read(terminal, 4096)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 128 + signal.SIGHUP
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()


def test_resuming_takes_a_run_folder(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = tmp_path / "last.ckpt"
    alone.write_bytes((work / "first" / "checkpoints" / "last.ckpt").read_bytes())
    assert main(["train", f"ckpt={alone}"]) == 2
    assert "this checkpoint is not in one" in capsys.readouterr().err
