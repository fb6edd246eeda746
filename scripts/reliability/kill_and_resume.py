"""Kill a training with SIGKILL at random moments, resume it, and compare with one left alone.

    python scripts/reliability/kill_and_resume.py --kills 20 --folder FOLDER

Both trainings save before every step, so many kills hit a checkpoint that is being written. In the
end the last checkpoint (weights, average, optimizer, schedule, random states), the best weights,
metrics.csv and metrics.json have to be the same, bit by bit.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

TRAINING = [
    "model=fcos",
    "model/backbone=timm",
    "model.backbone.model=test_resnet",
    "model.neck.out_channels=16",
    "model.head.convs=1",
    "data.reader.image_size=96",
    "data.reader.validation_images=8",
    "data.batch_size=4",
    "data.workers=1",
    "data.multi_scale=[0.75,1.0]",
    "trainer.max_epochs=4",
    "trainer.log_every=1",
    "callbacks=average",
    "callbacks.checkpoints.minutes=1e-9",
]


def plain(value: Any) -> Any:
    """Tensors as bytes, so that == compares bit by bit."""
    if isinstance(value, torch.Tensor):
        return (str(value.dtype), tuple(value.shape), value.contiguous().numpy().tobytes())
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def content(folder: Path) -> dict[str, Any]:
    """All that a run leaves and that must not depend on where it was interrupted."""
    left: dict[str, Any] = {}
    for name in ("last", "best"):
        state = torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)
        record = {k: v for k, v in state.pop("detkit").items() if k != "config"}  # holds run_folder
        del state["loops"]  # counts how often Lightning was started
        left |= {f"{name}.ckpt: {key}": plain(value) for key, value in state.items()}
        left[f"{name}.ckpt: record"] = record
    for name in ("metrics.csv", "metrics.json"):
        left[name] = (folder / name).read_text()
    return left


def start(folder: Path, images: int) -> subprocess.Popen[bytes]:
    """A training of its own process group: a new one, or one that goes on."""
    words = [f"ckpt={folder}"]
    if not (folder / "checkpoints" / "last.ckpt").exists():
        for file in folder.glob("*") if folder.exists() else ():
            if file.is_file():  # killed before the first checkpoint: begin again
                file.unlink()
        words = [*TRAINING, f"data.reader.train_images={images}", f"run_folder={folder}"]
    with (folder.parent / "training.log").open("ab") as log:
        command = [sys.executable, "-m", "detkit.cli.main", "train", *words]
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def wait_for_training(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait until the process has trained: until it has written a checkpoint of its own."""
    last = folder / "checkpoints" / "last.ckpt"
    before = last.stat().st_mtime_ns if last.exists() else 0
    while process.poll() is None and (last.stat().st_mtime_ns if last.exists() else 0) == before:
        time.sleep(0.02)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--images", type=int, default=160, help="training images; 4 epochs of them")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    options.folder.mkdir(parents=True)
    folder = options.folder.resolve()
    whole = folder / "whole"

    process = start(whole, options.images)
    wait_for_training(process, whole)
    began = time.time()
    if process.wait() != 0:
        sys.exit((folder / "training.log").read_text()[-2000:])
    seconds = (whole / "checkpoints" / "last.ckpt").stat().st_mtime - began
    print(f"left alone: {seconds:.1f} s from the first checkpoint to the last", flush=True)

    moments = random.Random(options.seed)
    kills, halves, rounds = 0, 0, 1
    while True:
        killed = folder / f"killed_{rounds}"
        process = start(killed, options.images)
        if kills < options.kills:
            wait_for_training(process, killed)
            time.sleep(moments.uniform(0, seconds / 4))
        if kills == options.kills or process.poll() is not None:  # trained to its end
            if process.wait() != 0:
                sys.exit((folder / "training.log").read_text()[-2000:])
            different = differing(content(whole), content(killed))
            if different:
                print(f"DIFFERENT after {kills} kills: {', '.join(different)}")
                return 1
            if kills == options.kills:
                break
            rounds += 1
            continue
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
        halves += (killed / "checkpoints" / "last.part").exists()
        state = torch.load(killed / "checkpoints" / "last.ckpt", weights_only=True)["position"]
        print(f"kill {kills}: epoch {state['epoch']}, batch {state['batch']}", flush=True)
    print(f"{kills} kills in {rounds} trainings, {halves} of them while a checkpoint was written")
    print("equal bit by bit: last.ckpt, best.ckpt, metrics.csv, metrics.json")
    return 0


def differing(expected: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """The names of what two runs left and that is not equal."""
    return [key for key in {**expected, **found} if expected.get(key) != found.get(key)]


if __name__ == "__main__":
    sys.exit(main())
