"""Measure how fast an exported file predicts, from the image file to the boxes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detkit.benchmark.table import table_heading, table_row
from detkit.benchmark.timing import WARM_UP, Times
from detkit.inference.engines.contract import Engine
from detkit.inference.exported_images import prepare_image
from detkit.inference.exported_predictor import ExportedPredictor
from detkit.pixels.channels import decode_image
from detkit.pixels.pixel_format import PixelFormat
from detkit.structures.exported import ExportedModel
from detkit.text import counted

_SIZE = (480, 640)  # of an image, if there is no file


@dataclass(frozen=True)
class ExportedSpeed:
    """Seconds of repeated predictions of a batch.

    Attributes:
        file: The exported file.
        model: Its metadata.
        engine: Engine, version, device and threads.
        batch_size: Images per batch.
        sizes: Sizes (height, width) of the images after resizing.
        decoding: Reading and decoding the images of a batch; None without files.
        resizing: Resizing them.
        network: The engine, with post-processing.
    """

    file: Path
    model: ExportedModel
    engine: str
    batch_size: int
    sizes: tuple[tuple[int, int], ...]
    decoding: Times | None
    resizing: Times
    network: Times

    def as_plain(self) -> dict[str, Any]:
        """All measurements as plain values."""
        times = {"decoding": self.decoding, "resizing": self.resizing, "engine": self.network}
        return {
            "file": str(self.file),
            "engine": self.engine,
            "precision": self.model.precision,
            "batch_size": self.batch_size,
            "sizes": [list(size) for size in self.sizes],
            "seconds": {
                name: list(value.seconds) for name, value in times.items() if value is not None
            },
        }

    def text(self) -> str:
        """A table with the median of each stage."""
        classes, batch = counted(len(self.model.class_names), "class"), self.batch_size
        stages = [self.resizing, self.network]
        stages += [] if self.decoding is None else [self.decoding]
        whole = Times(tuple(map(sum, zip(*(stage.seconds for stage in stages), strict=True))))
        sides = ", ".join(f"{height} x {width}" for height, width in self.sizes)
        megabytes = self.file.stat().st_size / 1e6
        lines = [
            f"{self.file.name}, {classes}, {self.model.precision}, {megabytes:.1f} MB",
            self.engine,
            "",
            table_heading(),
            f"prediction of {counted(batch, 'image')} at once, {sides} after resizing",
        ]
        if self.decoding is not None:
            lines.append(table_row("decoding", self.decoding))
        post_processing = "" if self.model.nms else " and post-processing"
        lines.append(table_row("resizing", self.resizing))
        lines.append(table_row(f"engine{post_processing}", self.network))
        return "\n".join([*lines, table_row("whole prediction", whole, batch)])


def measure_exported(
    file: Path, engine: Engine, paths: Sequence[Path], *, batch_size: int, steps: int
) -> ExportedSpeed:
    """Predict the same images again and again.

    Args:
        file: The exported file.
        engine: Runs it.
        paths: Image files, of which batches are made in turn; none takes random pixels.
        batch_size: Images per batch.
        steps: Repetitions after the warm-up.
    """
    predictor = ExportedPredictor(engine, str(file))
    pixels = PixelFormat(engine.model.channels, engine.model.value_range)
    noise = np.random.default_rng(0).integers(0, 256, (*_SIZE, pixels.channels), dtype=np.uint8)
    seconds: list[tuple[float, float, float]] = []
    sizes: dict[tuple[int, int], None] = {}
    for step in range(WARM_UP + steps):
        start = time.perf_counter()
        positions = range(step * batch_size, (step + 1) * batch_size)
        images = [
            decode_image(paths[n % len(paths)], pixels) if paths else noise for n in positions
        ]
        decoded = time.perf_counter()
        prepared = [prepare_image(image, engine.model) for image in images]
        resized = time.perf_counter()
        predictor.predict(prepared)
        seconds.append((decoded - start, resized - decoded, time.perf_counter() - resized))
        sizes |= dict.fromkeys(image.pixels.shape[:2] for image in prepared)
    decoding, resizing, network = (Times(times) for times in zip(*seconds[WARM_UP:], strict=True))
    return ExportedSpeed(
        file=file,
        model=engine.model,
        engine=engine.description,
        batch_size=batch_size,
        sizes=tuple(sizes),
        decoding=decoding if paths else None,
        resizing=resizing,
        network=network,
    )
