"""Kill a training at random moments (SIGKILL), resume it, and compare with an undisturbed one.

    python scripts/reliability/kill_and_resume.py --kills 20 --folder FOLDER

A training is killed at any time from the start of its process: while it starts, restores, trains,
writes or measures. Then `detkit train ckpt=RUN` resumes; nothing is cleaned up in between. Both
trainings save before every step, so many kills hit a checkpoint that is being written. In the end
the last checkpoint (weights, average, optimizer, schedule, random states), the best weights,
metrics.csv (but for its times) and metrics.json have to be bit-identical.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import torch

from detkit.runs.metrics_rows import read_metrics
from detkit.runs.training_position import read_position

EPOCHS = 4
TRAINING = [
    "model=fcos",
    "model/backbone=timm",
    "model.backbone.model=test_resnet",
    "model.neck.out_channels=16",
    "model.head.layers.convs=1",
    "data.reader.image_size=96",
    "data.reader.validation_images=8",
    "data.batch_size=4",
    "data.workers=1",
    "data.multi_scale=[0.75,1.0]",
    f"trainer.max_epochs={EPOCHS}",
    "trainer.log_every=1",
    "callbacks=average",
    "callbacks.checkpoints.minutes=1e-9",
]
STARTING, TRAINING_NOW, WRITING, MEASURING = (
    "while it started or restored",
    "while it trained",
    "while a checkpoint was written",
    "after its last checkpoint",
)


class Durations(NamedTuple):
    """Durations of an uninterrupted training.

    Attributes:
        start: Seconds from the start of its process to its first checkpoint.
        rest: Seconds from there to its end.
    """

    start: float
    rest: float


class Run:
    """A run folder and the process that trains in it."""

    def __init__(self, folder: Path, images: int) -> None:
        self.folder = folder
        self.last = folder / "checkpoints" / "last.ckpt"
        self.words = [*TRAINING, f"data.reader.train_images={images}", f"run_folder={folder}"]

    def start(self) -> subprocess.Popen[bytes]:
        """Start or resume a training in its own process group."""
        exists = (self.folder / "config.yaml").is_file()
        words = [f"ckpt={self.folder}"] if exists else self.words
        self._saved_before, self._started = self._saved(), time.time()
        with (self.folder.parent / "training.log").open("ab") as log:
            command = [sys.executable, "-m", "detkit.cli.main", "train", *words]
            return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def has_saved(self) -> bool:
        """Whether the process has written its own checkpoint."""
        return self._saved() != self._saved_before

    def reached(self) -> str:
        """Say where the last checkpoint was saved."""
        if not self.last.is_file():
            return "no checkpoint yet"
        return "saved at its end" if self.is_trained() else f"saved {read_position(self.last)}"

    def is_trained(self) -> bool:
        """Whether the last checkpoint is the final one."""
        return self.last.is_file() and read_position(self.last).epoch == EPOCHS

    def hit(self) -> str:
        """Say what the process was doing when it was killed."""
        part = self.last.with_suffix(".part")
        if part.is_file() and part.stat().st_mtime > self._started:
            return WRITING
        if not self.has_saved():
            return STARTING
        return MEASURING if self.is_trained() else TRAINING_NOW

    def _saved(self) -> int:
        return self.last.stat().st_mtime_ns if self.last.is_file() else 0


def plain(value: Any) -> Any:
    """Tensors as bytes, to compare them exactly with ==."""
    if isinstance(value, torch.Tensor):
        return (str(value.dtype), tuple(value.shape), value.contiguous().numpy().tobytes())
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def content(folder: Path) -> dict[str, Any]:
    """All results of a run that must not depend on interruptions."""
    left: dict[str, Any] = {}
    for name in ("last", "best"):
        state = torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)
        record = {k: v for k, v in state.pop("detkit").items() if k != "config"}  # holds run_folder
        del state["loops"]  # counts how often Lightning was started
        left |= {f"{name}.ckpt: {key}": plain(value) for key, value in state.items()}
        left[f"{name}.ckpt: record"] = record
    left["metrics.csv"] = read_metrics(folder / "metrics.csv")  # without times
    left["metrics.json"] = (folder / "metrics.json").read_text()
    return left


def differing(expected: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """The names of results that differ between two runs."""
    return [key for key in {**expected, **found} if expected.get(key) != found.get(key)]


def require_success(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait for the end of a training; exit if it failed."""
    if process.wait() != 0:
        sys.exit((folder / "training.log").read_text()[-2000:])


def left_alone(run: Run) -> Durations:
    """Train without a kill."""
    began = time.time()
    process = run.start()
    while process.poll() is None and not run.has_saved():
        time.sleep(0.02)
    start = time.time() - began
    require_success(process, run.folder.parent)
    return Durations(start, time.time() - began - start)


def kill_at(run: Run, seconds: float) -> str | None:
    """Start and kill a training; return what was hit, or None if it had ended before."""
    process = run.start()
    try:
        code = process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return run.hit()
    if code != 0:
        require_success(process, run.folder.parent)
    return None


def summary(hits: Counter[str], rounds: int) -> list[str]:
    """Summarise the proof for a page: date, machine, kills, what they hit."""
    kinds = ", ".join(f"{hits[kind]} {kind}" for kind in (STARTING, TRAINING_NOW, WRITING))
    return [
        f"date: {datetime.now(UTC):%Y-%m-%d}",
        f"machine: {platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, torch {torch.__version__}",
        f"kills: {hits.total()} in {rounds} trainings: {kinds}, {hits[MEASURING]} {MEASURING}",
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--images", type=int, default=160, help="training images; 4 epochs of them")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    options.folder.mkdir(parents=True)
    folder = options.folder.resolve()
    durations = left_alone(Run(folder / "whole", options.images))
    print(f"left alone: {durations.start:.1f} s to the first checkpoint, then {durations.rest:.1f}")

    moments = random.Random(options.seed)
    expected, hits, rounds = content(folder / "whole"), Counter[str](), 0
    while hits.total() < options.kills:
        rounds += 1
        run = Run(folder / f"killed_{rounds}", options.images)
        hit: str | None = STARTING
        while hit is not None and not run.is_trained() and hits.total() < options.kills:
            hit = kill_at(run, moments.uniform(0, durations.start + durations.rest / 3))
            if hit is not None:
                hits[hit] += 1
                print(f"kill {hits.total()}: {hit}; {run.reached()}", flush=True)
        if hit is not None:
            require_success(run.start(), folder)
        different = differing(expected, content(run.folder))
        if different:
            print(f"DIFFERENT after {hits.total()} kills: {', '.join(different)}")
            return 1
    print("\n".join(["", "summary", *summary(hits, rounds)]))
    print("result: bit-identical: last.ckpt, best.ckpt, metrics.csv, metrics.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
