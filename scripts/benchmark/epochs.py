"""Whole training epochs beside `yolo train`: loading, steps, validation, metrics and checkpoints.

Photographs of blood cells (BCCD, 320 px), converted to YOLO's format by `detkit data convert`, and
YOLOs of equal operations from random weights, with the recipe of YOLOv5 on both sides: mosaic, zoom
and shift, colours, mirror, a moving average of the weights, no mixed precision and no plots. Each
command runs in a process of its own with one thread and one loader process. The sides take turns
epoch by epoch: at its end, a side waits, and its process group is stopped while the other one
trains. The first epoch does not count, because it contains the start. Both sides must train on and
validate the same number of images and pixels, in as many steps.

    python scripts/benchmark/epochs.py [--data FOLDER]     BCCD is expected beside this checkout
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from equal_yolo import PAGE, changes, operations_of_both
from measure import Comparison, report, times_in_turns
from sides import has_ultralytics

BCCD = Path(__file__).resolve().parents[3] / "shared" / "data" / "bccd"
SIZE, BATCH, CLASSES = 320, 8, 3
IMAGES = {"train": 104, "val": 40}  # about half of BCCD
ROUNDS, AT_MOST = 5, 0.90
MARK = "EPOCH "
OURS = '''"""A callback that reports each epoch and waits."""
import json
import sys
import lightning.pytorch as pl
from detkit.registry import register

@register("callback", "report_epochs")
class ReportEpochs(pl.Callback):
    """Reports an epoch's work and waits for a line."""

    def __init__(self) -> None:
        """Takes nothing."""
        self.trained, self.validated = [], []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        """Count a training batch."""
        self.trained.append(batch.images.shape)

    def on_validation_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        """Count a validation batch."""
        self.validated.append(batch.images.shape)

    def on_train_epoch_end(self, trainer, pl_module) -> None:
        """Report and wait."""
        print("\\nEPOCH " + json.dumps([self.trained, self.validated]), flush=True)
        self.trained, self.validated = [], []
        sys.stdin.readline()
'''
THEIRS = """import json, sys
from ultralytics.cfg import entrypoint
from ultralytics.models.yolo.detect import DetectionTrainer, DetectionValidator
from ultralytics.utils.callbacks.base import default_callbacks

trained, validated = [], []

def counting(cls, name, shapes):
    original = getattr(cls, name)
    def replacement(self, batch):
        shapes.append(list(batch["img"].shape))
        return original(self, batch)
    setattr(cls, name, replacement)

def report(trainer):
    print("\\nEPOCH " + json.dumps([trained, validated]), flush=True)
    trained.clear(), validated.clear()
    sys.stdin.readline()

counting(DetectionTrainer, "preprocess_batch", trained)
counting(DetectionValidator, "preprocess", validated)
default_callbacks["on_fit_epoch_end"].append(report)
entrypoint()
"""


class Training:
    """A training in a process of its own that advances by one epoch at a time."""

    def __init__(self, command: Sequence[str], folder: Path, environment: dict[str, str]) -> None:
        """Start nothing yet: the first epoch does."""
        self._command, self._folder, self._environment = command, folder, environment
        self._process: subprocess.Popen[str] | None = None
        self.work: list[list[list[int]]] = []  # shapes of the last epoch: trained, validated

    def epoch(self) -> None:
        """Train for one epoch, then stop the process and its workers.

        Raises:
            RuntimeError: The training ended; with the end of its output.
        """
        if self._process is None:
            self._process = self._start()
        else:
            os.killpg(self._process.pid, signal.SIGCONT)
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        lines = []
        for text in self._process.stdout:
            if text.startswith(MARK):
                os.killpg(self._process.pid, signal.SIGSTOP)
                self.work = json.loads(text.removeprefix(MARK))
                return
            lines.append(text)
        raise RuntimeError(f"{' '.join(self._command)} ended:\n{''.join(lines)[-4000:]}")

    def end(self) -> None:
        """End the process and its workers."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self._command,
            cwd=self._folder,
            env={**os.environ, **self._environment, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


def convert(source: Path, target: Path) -> None:
    """Write the first images of each split in YOLO's format, which both sides read."""
    command = (sys.executable, "-m", "detkit", "data", "convert", source, target, "format=yolo")
    command = [*map(str, command), "split=train,val"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{source} was not converted:\n{done.stderr}")
    for split, count in IMAGES.items():
        for image in sorted((target / "images" / split).iterdir())[count:]:
            image.unlink()
            (target / "labels" / split / f"{image.stem}.txt").unlink()


def our_training(folder: Path) -> Training:
    """`detkit train` with Ultralytics' augmentation."""
    (folder / "report_epochs.py").write_text(OURS, encoding="utf-8")
    sizes = {
        **{f"train.resize.{side}_side": SIZE for side in ("short", "long")},
        **{f"train.mosaic.{side}": 2 * SIZE for side in ("height", "width")},
        **{f"train.perspective.{side}": SIZE for side in ("height", "width")},
        "train.mixup": "null",
        # the size to which Ultralytics pads 4:3 photographs: half a stride, then whole ones
        "evaluation.resize": "{name: letterbox, height: 256, width: 352}",
    }
    command = (
        *(sys.executable, "-m", "detkit", "train", f"model={PAGE}", *changes(CLASSES)),
        *("data=folder", f"data.path={folder / 'data'}", f"data.batch_size={BATCH}"),
        *(f"data.validation_batch_size={2 * BATCH}", "data.workers=1"),  # as Ultralytics does
        "augmentation=mosaic",
        *(f"augmentation.{key}={value}" for key, value in sizes.items()),
        *("trainer.accelerator=cpu", "trainer.max_epochs=1000"),
        *("callbacks=average", "callbacks.pictures=null"),
        "+callbacks.report={name: report_epochs}",
        f"run_folder={folder / 'ours'}",
    )
    return Training(command, folder, {"DETKIT_PLUGINS": str(folder / "report_epochs.py")})


def their_training(folder: Path) -> Training:
    """`yolo train` with its defaults, apart from the batch, and without plots."""
    (folder / "peer.py").write_text(THEIRS, encoding="utf-8")
    command = (
        *(sys.executable, str(folder / "peer.py"), "detect", "train", "model=yolov8n.yaml"),
        *(f"data={folder / 'data' / 'data.yaml'}", f"imgsz={SIZE}", f"batch={BATCH}"),
        *(f"nbs={BATCH}", "workers=1", "device=cpu", "epochs=1000", "patience=1000"),
        *("amp=False", "pretrained=False", "plots=False", "optimizer=SGD"),
        f"project={folder / 'theirs'}",
    )
    return Training(command, folder, {})


def require_same_work(ours: Training, theirs: Training) -> None:
    """Raise unless both sides trained on and validated as many images and pixels.

    Raises:
        RuntimeError: They differ.
    """
    if len(ours.work[0]) != len(theirs.work[0]):
        raise RuntimeError(f"{len(ours.work[0])} training steps beside {len(theirs.work[0])}")
    for split, mine, peers in zip(IMAGES, ours.work, theirs.work, strict=True):
        images = [sum(shape[0] for shape in shapes) for shapes in (mine, peers)]
        if images != [IMAGES[split]] * 2:
            raise RuntimeError(f"{split}: {images} images, expected {IMAGES[split]} on both sides")
        pixels = [sum(b * h * w for b, _, h, w in shapes) for shapes in (mine, peers)]
        if pixels[0] != pixels[1]:
            raise RuntimeError(f"{split}: {pixels[0]:,} pixels beside {pixels[1]:,}")


def compared(source: Path) -> Comparison:
    """The row of both sides."""
    flops = operations_of_both(CLASSES, SIZE)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        convert(source, folder / "data")
        sides = our_training(folder), their_training(folder)
        try:
            times = times_in_turns(*(side.epoch for side in sides), rounds=ROUNDS)
            require_same_work(*sides)
        finally:
            for side in sides:
                side.end()
    return Comparison(
        f"training epoch on BCCD, {SIZE} px, batch {BATCH}, with validation",
        "`yolo train` of yolov8n",
        AT_MOST,
        "s",
        *times,
        f"{IMAGES['train']} images for training and {IMAGES['val']} for validation, mosaic, one "
        f"thread and one loader process; {flops[0]:.2f} and {flops[1]:.2f} GFLOP an image forward; "
        f"{ROUNDS} rounds",
    )


def main() -> None:
    """Compare both, where BCCD and Ultralytics are there."""
    source = Path(sys.argv[sys.argv.index("--data") + 1]) if "--data" in sys.argv else BCCD
    if not has_ultralytics():
        sys.exit('this compares with Ultralytics, which is missing: pip install -e ".[bench]"')
    if not source.is_dir():
        print(f"skipped: BCCD is not at {source}; --data FOLDER names another folder")
        report([], skipped=f"BCCD is not at {source}")
        return
    report([compared(source)])


if __name__ == "__main__":
    main()
