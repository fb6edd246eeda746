"""Time to the command's first answer and first step, beside Ultralytics' command.

Help and lists are asked for in an empty folder, so without plugins, which `detkit list` would
import. A training is measured from the start of its process to the end of its first optimizer step,
where a callback of either side ends the process: `detkit train` gets it from a plugin file, and
`yolo train`, whose command line takes none, from a script of three lines that then calls the
entry point of that command. Both train their smallest anchor-free YOLO from random weights on the
same 16 images (YOLO form, the labels read before, as Ultralytics keeps them in a file), at the same
size and batch, without workers, on the CPU, with a validation split and without pictures.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from measure import Comparison, report, times_in_turns
from PIL import Image
from sides import command_of, has_ultralytics

IMAGES, OBJECTS, CLASSES, SIZE, BATCH = 16, 4, 3, 320, 4
PLUGIN = '''"""A callback that ends the process."""
import os
import lightning.pytorch as pl
from detkit.registry import register

@register("callback", "stop_after_first_step")
class StopAfterFirstStep(pl.Callback):
    """Ends the process after an optimizer step."""

    def __init__(self) -> None:
        """Takes nothing."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        """End it."""
        print("steps:", trainer.global_step, flush=True)
        os._exit(0)
'''
PEER = """import os
from ultralytics.cfg import entrypoint
from ultralytics.utils.callbacks.base import default_callbacks

def stop(trainer):
    first = trainer.optimizer.param_groups[0]["params"][0]
    print("\\nsteps:", int(len(trainer.optimizer.state[first]) > 0), flush=True)
    os._exit(0)

default_callbacks["on_train_batch_end"].append(stop)
entrypoint()
"""


def make_data(folder: Path) -> None:
    """Write sixteen noisy images with objects in YOLO format, and as many for validation."""
    random = np.random.default_rng(0)
    for split in ("train", "val"):
        pictures, labels = folder / "images" / split, folder / "labels" / split
        pictures.mkdir(parents=True)
        labels.mkdir(parents=True)
        for number in range(IMAGES):
            pixels = random.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(pictures / f"{number:02d}.jpg")
            rows = np.column_stack(
                [
                    random.uniform(0.3, 0.7, (OBJECTS, 2)),
                    random.uniform(0.1, 0.5, (OBJECTS, 2)),
                ]
            )
            text = "\n".join(f"{k % CLASSES} " + " ".join(map(str, r)) for k, r in enumerate(rows))
            (labels / f"{number:02d}.txt").write_text(text + "\n", encoding="utf-8")
    names = "".join(f"  {number}: class_{number}\n" for number in range(CLASSES))
    (folder / "data.yaml").write_text(
        f"path: {folder}\ntrain: images/train\nval: images/val\nnames:\n{names}", encoding="utf-8"
    )


class Place:
    """A folder for both commands, isolated from the user's settings."""

    def __init__(self, folder: Path) -> None:
        """Write the data set, and the files that end each training."""
        self.folder = folder
        self.empty = folder / "empty"
        self.empty.mkdir()
        make_data(folder / "data")
        (folder / "stop.py").write_text(PLUGIN, encoding="utf-8")
        (folder / "peer.py").write_text(PEER, encoding="utf-8")
        (folder / "settings").mkdir()
        self.trainings = 0

    def run(self, *command: str) -> str:
        """Run a command in the empty folder and return its output."""
        kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        settings = {
            "YOLO_CONFIG_DIR": str(self.folder / "settings"),
            "YOLO_OFFLINE": "true",
            "OMP_NUM_THREADS": "1",  # which Ultralytics sets by itself
            "DETKIT_PLUGINS": str(self.folder / "stop.py") if "train" in command else "",
        }
        done = subprocess.run(
            command,
            cwd=self.empty,
            env={**kept, **settings},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}"[-4000:])
        return done.stdout

    def our_step(self) -> None:
        """`detkit train` up to the end of its first optimizer step."""
        self.trainings += 1
        sizes = [
            f"augmentation.{split}.resize.{side}={SIZE}"
            for split in ("train", "evaluation")
            for side in ("short_side", "long_side")
        ]
        shown = self.run(
            *(command_of("detkit"), "train", "model=yolo_free_n", "data=folder"),
            *(f"data.path={self.folder / 'data'}", f"data.batch_size={BATCH}", "data.workers=0"),
            *("trainer.accelerator=cpu", "callbacks.pictures=null", *sizes),
            "+callbacks.stop={name: stop_after_first_step}",
            f"run_folder={self.folder / 'ours' / str(self.trainings)}",
        )
        _require_a_step(shown)

    def their_step(self) -> None:
        """`yolo train` up to the end of its first optimizer step."""
        shown = self.run(
            *(sys.executable, str(self.folder / "peer.py"), "detect", "train"),
            *("model=yolov8n.yaml", f"data={self.folder / 'data' / 'data.yaml'}", f"imgsz={SIZE}"),
            *(f"batch={BATCH}", f"nbs={BATCH}", "workers=0", "device=cpu", "epochs=12"),
            *("amp=False", "pretrained=False", "plots=False", "mosaic=0.0", "optimizer=SGD"),
            f"project={self.folder / 'theirs'}",
        )
        _require_a_step(shown)


def _require_a_step(shown: str) -> None:
    if "steps: 1" not in shown.splitlines():
        raise RuntimeError(f"the first step was not reached:\n{shown[-4000:]}")


def main() -> None:
    """Report help, list and first step."""
    if not has_ultralytics():
        sys.exit('this compares with Ultralytics, which is missing: pip install -e ".[bench]"')
    with tempfile.TemporaryDirectory() as name:
        place = Place(Path(name))

        def help_of_peer() -> str:
            return place.run(command_of("yolo"), "--help")

        rows = [
            Comparison(
                "`detkit --help`",
                "`yolo --help`",
                0.10,
                "s",
                *times_in_turns(lambda: place.run(command_of("detkit"), "--help"), help_of_peer),
            ),
            Comparison(
                "`detkit list`",
                "`yolo --help`",
                0.30,
                "s",
                *times_in_turns(lambda: place.run(command_of("detkit"), "list"), help_of_peer),
                remark="Ultralytics has no list of parts; in a folder without plugins.",
            ),
            Comparison(
                "`detkit train` to the end of its first step",
                "`yolo train`",
                1.00,
                "s",
                *times_in_turns(place.our_step, place.their_step),
                remark=f"yolo_free_n and yolov8n from random weights, {SIZE} px, batch {BATCH}, "
                "CPU, no workers, 16 images; from the start of the process.",
            ),
        ]
        report(rows)


if __name__ == "__main__":
    main()
