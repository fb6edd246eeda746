"""Video: frames per second of `detkit predict` beside Ultralytics, and memory over many frames.

    python scripts/inference/page.py --measure video --set video.frames=120

Options: `frames` of the clip (120), `rounds` (5), `memory_frames` (9000; 0 leaves memory out).

Both sides run the same YOLOv8n: random weights whose output layers are rescaled so that it detects
something, written by Ultralytics and imported by `detkit import`. Both read the same file, draw
boxes into a new video and write the detections of each frame. They take turns, and each has a
warm-up that does not count. Loading the network does not count either.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import av
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmark"))
from equal_yolo import Spread, write_theirs
from loader import photograph
from measure import machine, resident_mib, seconds, times_in_turns

from detkit.api.detector import Detector
from detkit.cli.import_weights import run as import_weights
from detkit.cli.predict_run import run_settings
from detkit.cli.predict_settings import PredictSettings
from detkit.cli.predict_video import predict_video
from detkit.text import counted
from detkit.video.locations import Kind, Location

# Half of a frame is a multiple of 32 in both directions: there is no padding, which the two
# programs put in different places.
HEIGHT, WIDTH, RATE, SIDE = 768, 1280, 30, 640
THRESHOLD, IOU = 0.25, 0.7
# One class: `yolo predict` gives a place only its best class, which random weights do not have.
NAMES = ["object"]
SCORES = Spread(-9, 1.2)  # outliers of these give some detections per frame
PICTURES = 6  # that the clip moves over
SAMPLE = 0.2  # seconds between two looks at the memory
SMALL = (64, 96)  # frames of the measurement of memory


def measure(options: dict[str, str]) -> dict[str, Any]:
    """Measure both sides; only ours where Ultralytics is not installed."""
    load, *_ = os.getloadavg()
    frames, rounds = int(options.get("frames", 120)), int(options.get("rounds", 5))
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        folder = Path(name)
        clip = write_clip(folder / "clip.mp4", frames, (HEIGHT, WIDTH))
        network = write_network(folder)
        ours = Ours(folder, network, clip)
        theirs: Any = Theirs(folder, network, clip) if find_spec("ultralytics") else None
        detections = [ours.detections(), theirs.detections() if theirs else 0]
        if theirs is None:
            times: tuple[list[float], list[float]] = ([seconds(ours) for _ in range(rounds)], [])
        else:
            times = times_in_turns(ours, theirs, rounds)
        rows = {
            "machine": machine(),
            "cpus": os.cpu_count(),
            "load": round(load),
            "frames": frames,
            "size": [WIDTH, HEIGHT],
            "detkit": [frames / value for value in times[0]],
            "ultralytics": [frames / value for value in times[1]],
            "network": 1 / median(seconds(ours.network_step()) for _ in range(20)),
            "detections": detections,
        }
        if count := int(options.get("memory_frames", 9000)):
            rows["memory"] = memory_over(folder, network, count)
    return rows


def table(rows: dict[str, Any]) -> str:
    """Frames per second of both sides, and memory."""
    width, height = rows["size"]
    facts = rows["machine"]
    sides = [("detkit predict", rows["detkit"]), ("yolo predict", rows["ultralytics"])]
    lines = ["| | frames/s, median | lowest to highest |", "|---|---|---|"]
    for name, values in sides:
        if values:
            span = f"{min(values):.1f} to {max(values):.1f}"
            lines.append(f"| `{name}` | {median(values):.1f} | {span} |")
    lines.append(f"| the network alone, in detkit | {rows['network']:.1f} | |")
    ours, theirs = rows["detections"]
    text = (
        f"YOLOv8n with one class in PyTorch at {SIDE} pixels, {rows['frames']} frames of {width} x "
        f"{height} in H.264, from the file to a new video and the detections of each frame; "
        f"{len(rows['detkit'])} rounds in turns. {facts.get('processor', 'CPU')}, "
        f"{rows['cpus']} cores, load average {rows['load']} before the start; "
        f"PyTorch {facts['torch']} with {counted(int(facts['cores']), 'thread')} on both sides, "
        "as Ultralytics sets it. "
        f"Detections: {ours:,} in detkit, {theirs:,} in Ultralytics."
    )
    if memory := rows.get("memory"):
        text += (
            "\n\nMemory of the process of `detkit predict` at each tenth of a video of "
            f"{memory['frames']:,} frames: "
            f"{', '.join(f'{value:.0f}' for value in memory['mib'])} MiB."
        )
    return f"{text}\n\n" + "\n".join(lines)


def frames_of(count: int, size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    """Frames (height, width, 3) that move over photographs of noise."""
    random = np.random.default_rng(0)
    height, width = size
    for number in range(count):
        if number % max(1, count // PICTURES) == 0:
            picture = np.asarray(photograph(random).resize((width + 200, height + 100)))
        x, y = number % 100 * 2, number % 100
        yield np.ascontiguousarray(picture[y : y + height, x : x + width])


def write_clip(path: Path, frames: int, size: tuple[int, int]) -> Path:
    """A video of such frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "veryfast"})
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        for number, pixels in enumerate(frames_of(frames, size)):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_network(folder: Path) -> Path:
    """Ultralytics' file of the network; `weights.ckpt` beside it is detkit's."""
    file = folder / "network.pt"
    size = (SIDE, HEIGHT * SIDE // WIDTH)
    frames = list(frames_of(PICTURES, (HEIGHT, WIDTH)))
    images = [np.asarray(Image.fromarray(frame).resize(size)) for frame in frames]
    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    torch.manual_seed(0)
    write_theirs(file, batch, NAMES, SCORES)
    from ultralytics import YOLO

    torch.save(YOLO(file).model.float().state_dict(), folder / "weights.pth")
    with contextlib.redirect_stdout(io.StringIO()):
        import_weights(
            [
                "weights.pth",
                "model=yolov8n",
                f"classes=[{NAMES[0]}]",
                "model.head.layers.class_channels=64",
            ]
        )
    return file


class Ours:
    """`detkit predict` on a clip, after the network is loaded."""

    def __init__(self, folder: Path, network: Path, clip: Path, *words: str) -> None:
        self.clip, self.output = clip, folder / "ours"
        self.output.mkdir(exist_ok=True)
        checkpoint = network.with_name("weights.ckpt")
        choices = [f"score_threshold={THRESHOLD}", f"image_size={SIDE}", "device=cpu", *words]
        self.settings: PredictSettings = run_settings(
            [f"ckpt={checkpoint}", f"source={clip}", *choices]
        )
        self.detector: Detector = self.settings.open_detector()

    def __call__(self) -> None:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            location = Location(str(self.clip), Kind.FILE)
            predict_video(self.detector, self.settings, location, self.output, "clip")

    def detections(self) -> int:
        frames = self.detector.video(self.clip, threshold=THRESHOLD)
        return sum(len(frame.result) for frame in frames)

    def network_step(self) -> Callable[[], object]:
        """The forward pass and post-processing of one frame."""
        frame = next(self.detector.video(self.clip))
        pixels: NDArray[np.uint8] = np.asarray(frame.result._decode())
        return lambda: self.detector.predict(pixels, threshold=THRESHOLD)


class Theirs:
    """`yolo predict` on the same clip."""

    def __init__(self, folder: Path, network: Path, clip: Path) -> None:
        from ultralytics import YOLO

        self.model, self.clip, self.folder = YOLO(network), clip, folder

    def __call__(self) -> None:
        files = {"save": True, "save_txt": True, "save_conf": True, "project": str(self.folder)}
        for _ in self._results(**files, exist_ok=True):
            pass

    def detections(self) -> int:
        return sum(len(result.boxes) for result in self._results())

    def _results(self, **words: Any) -> Any:
        choices = {"conf": THRESHOLD, "iou": IOU, "imgsz": SIDE, "device": "cpu", "verbose": False}
        return self.model.predict(source=str(self.clip), stream=True, **choices, **words)


def memory_over(folder: Path, network: Path, frames: int) -> dict[str, Any]:
    """MiB that the process holds at each tenth of the time that a long video takes."""
    clip = write_clip(folder / "long.mp4", frames, SMALL)
    side = Ours(folder, network, clip, "image_size=64")
    holdings: list[float] = []
    work = threading.Thread(target=side)
    work.start()
    while work.is_alive():
        work.join(timeout=SAMPLE)
        holdings.append(resident_mib())
    tenths = [len(holdings) * tenth // 10 - 1 for tenth in range(1, 11)]
    return {"frames": frames, "mib": [holdings[max(0, position)] for position in tenths]}
