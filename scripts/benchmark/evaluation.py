"""`detkit evaluate` beside `yolo val`: 5,000 small images from the start of the process to the end.

The images are rendered by detkit (`data=shapes`) and converted to YOLO's format by `detkit data
convert`; both sides read the same folder. The detectors are YOLOs of equal operations with random
but calibrated weights (`equal_yolo.py`), and both keep at most 300 detections an image from a score
of 0.001. Each side must measure all images, and both about as many detections. One thread, one
loader process, no plots. Both have read the labels once before and keep them in a file.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from equal_yolo import Spread, operations_of_both, write_ours, write_theirs
from measure import Comparison, report, times_in_turns
from PIL import Image
from sides import has_ultralytics

IMAGES, SIZE, BATCH, ROUNDS, AT_MOST = 5000, 64, 50, 5, 1.0
DISTINCT, CALIBRATION = 500, 100  # images
CLASSES = ("circle", "cross", "ring", "square", "star", "triangle")
SCORES = Spread(-7.5, 1.6)  # about 170 of the 504 scores of an image are above 0.001
MOST_APART = 1.25


def make(folder: Path) -> None:
    """Render the distinct images, convert them, and link them until there are enough."""
    reader = ("reader.name=shapes", f"reader.image_size={SIZE}", "reader.train_images=4")
    more = ("format=yolo", f"reader.validation_images={DISTINCT}")
    detkit(folder, "data", "convert", "rendered", "data", *more, *reader)
    images, labels = (folder / "data" / kind / "val" for kind in ("images", "labels"))
    rendered = sorted(images.iterdir())
    for number in range(DISTINCT, IMAGES):
        source = rendered[number % DISTINCT].stem
        os.link(images / f"{source}.jpg", images / f"linked_{number:04d}.jpg")
        os.link(labels / f"{source}.txt", labels / f"linked_{number:04d}.txt")


def detkit(folder: Path, *words: str) -> str:
    """Run a command of detkit in the folder."""
    return run(folder, "-m", "detkit", *words)


def run(folder: Path, *arguments: str) -> str:
    """Run Python with one thread in a folder and return its output.

    Raises:
        RuntimeError: It failed; with the end of its output.
    """
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "YOLO_VERBOSE": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)} failed:\n{done.stdout}{done.stderr}"[-4000:])
    return done.stdout + done.stderr


def evaluate_ours(folder: Path, *more: str) -> str:
    """`detkit evaluate`."""
    data = ("data=folder", "data.path=data", "split=val", "data.workers=1")
    batch = (f"data.batch_size={BATCH}", f"data.validation_batch_size={BATCH}")
    return detkit(folder, "evaluate", "ckpt=ours.ckpt", "device=cpu", *data, *batch, *more)


def evaluate_theirs(folder: Path, *more: str) -> str:
    """`yolo val` on square images, as ours are; it would pad rectangles further."""
    program = ("-c", "from ultralytics.cfg import entrypoint; entrypoint()", "detect", "val")
    data = ("model=theirs.pt", f"data={folder / 'data' / 'data.yaml'}", "split=val", "rect=False")
    work = (f"imgsz={SIZE}", f"batch={BATCH}", "workers=1", "device=cpu", "plots=False")
    return run(folder, *program, *data, *work, f"project={folder / 'theirs'}", *more)


def detections_of_both(folder: Path) -> tuple[int, int]:
    """Evaluate once with files of detections; return their numbers.

    This also lets both sides read the labels for the first time.

    Raises:
        RuntimeError: A side measured other images, or the numbers are not alike.
    """
    outputs = (
        evaluate_ours(folder, "output=ours"),
        evaluate_theirs(folder, "save_json=True", "name=val"),
    )
    files = folder / "ours" / "detections.json", folder / "theirs" / "val" / "predictions.json"
    rows = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    for output, pattern in zip(
        outputs, (rf"\b{IMAGES:,} images", rf"\ball +{IMAGES} "), strict=True
    ):
        if not re.search(pattern, output):
            raise RuntimeError(f"{IMAGES} images were expected:\n{output}")
    ours, theirs = (len(side) for side in rows)
    if max(ours, theirs) > MOST_APART * min(ours, theirs):
        raise RuntimeError(f"{ours:,} and {theirs:,} detections are not the same work")
    return ours, theirs


def compared() -> Comparison:
    """The row of both sides."""
    flops = operations_of_both(len(CLASSES), SIZE)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make(folder)
        files = sorted((folder / "data" / "images" / "val").iterdir())[:CALIBRATION]
        arrays = [np.array(Image.open(file)) for file in files]
        images = torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)  # (B, 3, H, W)
        names = list(CLASSES)
        write_ours(folder / "ours.ckpt", images, names, SCORES, f"image_size={SIZE}")
        write_theirs(folder / "theirs.pt", images, names, SCORES)
        counts = detections_of_both(folder)
        times = times_in_turns(
            lambda: evaluate_ours(folder), lambda: evaluate_theirs(folder), ROUNDS, warm_up=0
        )
    return Comparison(
        f"evaluate {IMAGES:,} images of {SIZE} px, end to end",
        "`yolo val` of yolov8n",
        AT_MOST,
        "s",
        *times,
        f"whole processes with one thread and one loader process; {DISTINCT} distinct images; "
        f"{counts[0]:,} and {counts[1]:,} detections; {flops[0]:.3f} and {flops[1]:.3f} GFLOP an "
        f"image; {ROUNDS} rounds",
    )


def main() -> None:
    """Compare both."""
    if not has_ultralytics():
        sys.exit('this compares with Ultralytics, which is missing: pip install -e ".[bench]"')
    torch.manual_seed(0)
    report([compared()])


if __name__ == "__main__":
    main()
