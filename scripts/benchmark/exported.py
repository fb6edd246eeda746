"""Our ONNX export in onnxruntime beside Ultralytics' own, and beside our eager detector.

YOLOs of equal operations with random but calibrated weights (`equal_yolo.py`), exported by
`detkit export` and by `yolo export format=onnx nms=True`, both for one image of a fixed size and
with non-maximum suppression in the graph. One thread; both sides get the same image as floats, and
both must find about as many objects. The eager detector is what `detkit predict` runs: batch norms
folded into convolutions.
"""

from __future__ import annotations

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
from start import make_data
from torch import Tensor

from detkit import assembly
from detkit.assembly import Classes
from detkit.inference.batch_norm_folding import ready_to_predict
from detkit.runs.checkpoint import load_weights, read_checkpoint

SIZE, CLASSES, THRESHOLD, ROUNDS = 640, 80, 0.25, 7
SCORES = Spread(-9.5, 2.4)  # about 150 of 672,000 scores are above the threshold
LEAST_FOUND, MOST_APART = 20, 1.5
REPEATS = 3  # predictions a round
Predict = Callable[[], int]


def export_ours(folder: Path, image: Tensor) -> Path:
    """Write our checkpoint and export it; the certificate needs a few labelled images."""
    make_data(folder / "data", CLASSES)
    settings = (
        *("data=folder", f"data.path={folder / 'data'}", f"image_size={SIZE}"),
        f"model.head.postprocess.score_threshold={THRESHOLD}",
    )
    write_ours(folder / "ours.ckpt", image, names(), SCORES, *settings)
    output = folder / "ours.onnx"
    words = (f"size={SIZE}", "batch=1", "data.limit_images=4", f"output={output}")
    command = (sys.executable, "-m", "detkit", "export", str(folder / "ours.ckpt"), "format=onnx")
    done = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"detkit export failed:\n{done.stdout}{done.stderr}"[-4000:])
    return output


def export_theirs(folder: Path, image: Tensor) -> Path:
    """Write Ultralytics' file and export it with its own exporter, NMS included."""
    from ultralytics import YOLO

    write_theirs(folder / "theirs.pt", image, names(), SCORES)
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
    picture = photograph(np.random.default_rng(0)).resize((SIZE, SIZE))
    image = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].contiguous()  # (1, 3, H, W)
    pixels = image.float().numpy()
    ours = session(export_ours(folder, image), pixels)
    theirs = session(export_theirs(folder, image), pixels / 255)
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
    """Names of the classes, as `make_data` writes them."""
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
