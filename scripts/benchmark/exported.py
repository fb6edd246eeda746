"""Our ONNX export in onnxruntime beside Ultralytics' own, and beside our eager detector.

YOLOs of equal operations with random but calibrated weights (`equal_yolo.py`), exported by
`detkit export` and by `yolo export format=onnx nms=True`, both for one image of a fixed size and
with non-maximum suppression in the graph. One thread; both sides get the same image as floats, and
both must find about as many objects. The eager detector is what `detkit predict` runs: batch norms
folded into convolutions.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from equal_yolo import Spread, operations_of_both, write_ours, write_theirs
from loader import photograph
from measure import Comparison, report, times_in_turns
from numpy.typing import NDArray
from sides import batch_of, has_ultralytics, random_targets
from torch import Tensor

from detkit import assembly
from detkit.assembly import Classes
from detkit.inference.batch_norm_folding import ready_to_predict
from detkit.runs.checkpoint import load_weights, read_checkpoint

SIZE, CLASSES, THRESHOLD, ROUNDS = 640, 80, 0.25, 7
SCORES = Spread(-6.6, 0.5)  # 150 to 200 places score above the threshold, none nearly 1
LEAST_FOUND, MOST_APART = 20, 1.5
IMAGES = 4
REPEATS = 3  # predictions a round
Predict = Callable[[], int]


def make_data(folder: Path) -> Tensor:
    """Write a few photographs with one object each in YOLO's format; return them (B, 3, H, W)."""
    random = np.random.default_rng(0)
    pictures = [photograph(random).resize((SIZE, SIZE)) for _ in range(IMAGES)]
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True)
        for number, picture in enumerate(pictures):
            picture.save(folder / "images" / split / f"{number}.png")
            label = folder / "labels" / split / f"{number}.txt"
            label.write_text("0 0.5 0.5 0.2 0.2\n", encoding="utf-8")
    content = {"path": str(folder), "train": "images/train", "val": "images/val", "names": names()}
    (folder / "data.yaml").write_text(json.dumps(content), encoding="utf-8")
    return torch.from_numpy(np.stack([np.asarray(p) for p in pictures])).permute(0, 3, 1, 2)


def export_ours(folder: Path, images: Tensor) -> Path:
    """Write our checkpoint and export it; its certificate is on the same images."""
    settings = (
        *("data=folder", f"data.path={folder / 'data'}", f"image_size={SIZE}"),
        f"model.head.postprocess.score_threshold={THRESHOLD}",
    )
    write_ours(folder / "ours.ckpt", images, names(), SCORES, *settings)
    output = folder / "ours.onnx"
    words = (f"size={SIZE}", "batch=1", f"output={output}")
    command = (sys.executable, "-m", "detkit", "export", str(folder / "ours.ckpt"), "format=onnx")
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"detkit export failed:\n{done.stdout}{done.stderr}"[-4000:])
    return output


def export_theirs(folder: Path, images: Tensor) -> Path:
    """Write Ultralytics' file and export it with its own exporter, NMS included."""
    from ultralytics import YOLO

    write_theirs(folder / "theirs.pt", images, names(), SCORES)
    choices = {"imgsz": SIZE, "conf": THRESHOLD, "device": "cpu", "verbose": False}
    return Path(YOLO(folder / "theirs.pt").export(format="onnx", nms=True, **choices))


def session(file: Path, image: NDArray[np.float32]) -> Callable[[], dict[str, NDArray]]:
    """Prepare a prediction of an exported file on one thread; it returns the outputs by name."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    engine = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    (entry,) = engine.get_inputs()
    outputs = [output.name for output in engine.get_outputs()]
    return lambda: dict(zip(outputs, engine.run(outputs, {entry.name: image}), strict=True))


def eager(file: Path, image: Tensor) -> Predict:
    """Our detector in PyTorch, prepared as for `detkit predict`."""
    checkpoint = read_checkpoint(file)
    classes = Classes(checkpoint.class_names, checkpoint.category_ids)
    detector = assembly.build_detector(checkpoint.config["model"], classes, fetch_weights=False)
    load_weights(detector, checkpoint)
    detector = ready_to_predict(detector.eval(), image)
    batch = batch_of(image, random_targets(1, 1, CLASSES, SIZE))

    @torch.inference_mode()
    def predict() -> int:
        return len(detector.predict(batch)[0].scores)

    return predict


def require_similar(ours: int, theirs: int) -> None:
    """Raise RuntimeError unless both sides find enough objects, and about as many."""
    fewer, more = sorted((ours, theirs))
    if fewer < LEAST_FOUND or more > MOST_APART * fewer:
        raise RuntimeError(f"{ours} and {theirs} detections are not the same work")


def repeated(action: Callable[[], object]) -> Callable[[], None]:
    """Several predictions, because one takes a few milliseconds only."""

    def repeat() -> None:
        for _ in range(REPEATS):
            action()

    return repeat


def rows(folder: Path) -> list[Comparison]:
    """Compare with Ultralytics' export, and with eager PyTorch."""
    flops = operations_of_both(CLASSES, SIZE)
    images = make_data(folder / "data")
    image = images[:1].contiguous()
    pixels = image.float().numpy()
    ours = session(export_ours(folder, images), pixels)
    theirs = session(export_theirs(folder, images), pixels / 255)
    predict = eager(folder / "ours.ckpt", image)
    count = int(ours()["counts"][0])
    (padded,) = theirs().values()  # (1, 300, 6): box, score, label
    require_similar(count, int((padded[0, :, 4] > 0).sum()))
    require_similar(count, predict())
    work = f"ONNX export, YOLO of equal operations, {SIZE} px"
    remark = (
        f"{REPEATS} predictions with non-maximum suppression in one thread; {flops[0]:.2f} and "
        f"{flops[1]:.2f} GFLOP an image; {count} and {int((padded[0, :, 4] > 0).sum())} detections"
    )
    sides = [repeated(action) for action in (ours, theirs, predict)]
    peer, mine = "Ultralytics' export of yolov8n", "detkit in PyTorch"
    beside_peer = times_in_turns(*sides[:2], rounds=ROUNDS)
    beside_eager = times_in_turns(sides[0], sides[2], rounds=ROUNDS)
    return [
        Comparison(work, peer, 0.95, "s", *beside_peer, remark),
        Comparison(f"{work}, beside eager", mine, 0.50, "s", *beside_eager),
    ]


def names() -> list[str]:
    """Names of the classes."""
    return [f"class_{number}" for number in range(CLASSES)]


def main() -> None:
    """Compare, where everything is installed."""
    needed = ("onnx", "onnxruntime", "onnxslim")
    missing = [name for name in needed if find_spec(name) is None]
    if missing or not has_ultralytics():
        sys.exit('this needs Ultralytics and onnxruntime: pip install -e ".[bench,export]"')
    torch.set_num_threads(1)
    torch.manual_seed(0)
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that export
    with tempfile.TemporaryDirectory() as name:
        report(rows(Path(name)))


if __name__ == "__main__":
    main()
