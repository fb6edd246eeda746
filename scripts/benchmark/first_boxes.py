"""From a file of weights to the first boxes, as whole processes, beside Ultralytics and LibreYOLO.

Every process imports its library, reads the same photograph, detects objects in it with random but
calibrated weights (`equal_yolo.py`), and prints their number; each side must find some. detkit's
detector has the operations of yolov8n. The smallest network of LibreYOLO's default family,
LibreYOLO9-t, has about as many. The two import rows end before any weights are read.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from equal_yolo import (
    Spread,
    calibrate,
    gigaflops,
    layers_of_peer,
    our_network,
    write_ours,
    write_theirs,
)
from loader import photograph
from measure import Comparison, report, times_in_turns
from sides import command_of, has_libreyolo, has_ultralytics
from torch import Tensor

SIZE, CLASSES, THRESHOLD, ROUNDS = 640, 80, 0.25, 5
LEAST_FOUND = 20
SCORES = Spread(-6.6, 0.5)  # 150 to 200 places score above the threshold, none nearly 1
OURS = """
import detkit
result, = detkit.load("ours.ckpt", device="cpu").predict("photograph.jpg", threshold={threshold})
print("boxes:", len(result))
"""
ULTRALYTICS = """
from ultralytics import YOLO
result, = YOLO("theirs.pt")("photograph.jpg", conf={threshold}, device="cpu", verbose=False)
print("boxes:", len(result.boxes))
"""
LIBREYOLO = """
from libreyolo import LibreYOLO
result = LibreYOLO("libre.pt", device="cpu")("photograph.jpg", conf={threshold})
print("boxes:", len(result.boxes))
"""


def run(folder: Path, *command: str) -> str:
    """Run a command with one thread in a folder and return its output.

    Raises:
        RuntimeError: It failed; with the end of its output.
    """
    settings = {"YOLO_CONFIG_DIR": str(folder), "OMP_NUM_THREADS": "1", "YOLO_OFFLINE": "true"}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}"[-4000:])
    return done.stdout


def detect(folder: Path, program: str) -> None:
    """Run a program that prints its number of boxes.

    Raises:
        RuntimeError: There are too few for a comparison.
    """
    output = run(folder, sys.executable, "-c", program.format(threshold=THRESHOLD))
    count = int(output.rpartition("boxes:")[2])
    if count < LEAST_FOUND:
        raise RuntimeError(f"{count} boxes are too few to compare:\n{program}")


def write_libreyolo(file: Path, image: Tensor) -> float:
    """Write LibreYOLO9-t with random weights; return the GFLOP of an image."""
    from libreyolo import LibreYOLO9

    model = LibreYOLO9(None, size="t", device="cpu")
    calibrate(model.model, layers_of_peer(model.model.head, SCORES), image.float() / 255)
    model.save(str(file))
    return gigaflops(model.model.train(), image.float())


def rows_beside_ultralytics(folder: Path, image: Tensor) -> list[Comparison]:
    """First boxes beside `YOLO("x.pt")(image)`."""
    write_theirs(folder / "theirs.pt", image, names(), SCORES)
    times = times_in_turns(
        partial(detect, folder, OURS), partial(detect, folder, ULTRALYTICS), rounds=ROUNDS
    )
    work, remark = "`detkit.load` to the first boxes", f"whole processes, {SIZE} px, one thread"
    return [Comparison(work, '`YOLO("x.pt")(image)`', 1.0, "s", *times, remark)]


def rows_beside_libreyolo(folder: Path, image: Tensor) -> list[Comparison]:
    """Help, import and first boxes beside LibreYOLO."""
    ours = gigaflops(our_network(CLASSES).train(), image.float())
    theirs = write_libreyolo(folder / "libre.pt", image)
    remark = (
        f"whole processes; {ours:.2f} and {theirs:.2f} GFLOP an image of {image.shape[-2]} x "
        f"{image.shape[-1]} pixels; LibreYOLO pads it to a square"
    )

    def row(work: str, peer: str, at_most: float, *sides: Callable[[], object]) -> Comparison:
        times = times_in_turns(*sides, rounds=ROUNDS)
        return Comparison(work, peer, at_most, "s", *times, remark if "boxes" in work else "")

    def python(program: str) -> Callable[[], object]:
        return partial(run, folder, sys.executable, "-c", program)

    return [
        row(
            "`detkit --help`, beside LibreYOLO",
            "`libreyolo --help`",
            0.10,
            partial(run, folder, command_of("detkit"), "--help"),
            partial(run, folder, command_of("libreyolo"), "--help"),
        ),
        row(
            "`from detkit import load`",
            "`from libreyolo import LibreYOLO`",
            1.0,
            python("from detkit import load"),
            python("from libreyolo import LibreYOLO"),
        ),
        row(
            "`detkit.load` to the first boxes, beside LibreYOLO",
            "`LibreYOLO(file)(image)`",
            1.0,
            partial(detect, folder, OURS),
            partial(detect, folder, LIBREYOLO),
        ),
    ]


def names() -> list[str]:
    """Names of the classes."""
    return [f"class_{number}" for number in range(CLASSES)]


def main() -> None:
    """Compare with the peers that are installed."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        picture = photograph(np.random.default_rng(0))
        picture.save(folder / "photograph.jpg", quality=90)
        image = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None]  # (1, 3, H, W)
        write_ours(folder / "ours.ckpt", image, names(), SCORES, f"image_size={SIZE}")
        rows = rows_beside_ultralytics(folder, image) if has_ultralytics() else []
        rows += rows_beside_libreyolo(folder, image) if has_libreyolo() else []
    if not rows:
        sys.exit('this compares with peers, which are missing: pip install -e ".[bench]"')
    report(rows)


if __name__ == "__main__":
    main()
