"""A detector over image files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path

import torch
from torch import nn

from detkit.errors import DataError, UserError
from detkit.structures import Batch, Detections, Sample

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Prediction:
    """What became of one file.

    Attributes:
        path: The file.
        detections: In the coordinates of the file's image; None where it cannot be read.
        problem: Why it cannot be read; empty where it can.
    """

    path: Path
    detections: Detections | None
    problem: str = ""


def find_images(source: str) -> list[Path]:
    """The image files that a file, a folder (with all below it) or a pattern stands for, sorted.

    Raises:
        UserError: There are none.
    """
    path = Path(source).expanduser()
    if path.is_file():
        return [path]
    if path.is_dir():
        found = [p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()]
        looked = f"the folder holds no file that ends in {', '.join(SUFFIXES)}"
    else:
        found = [Path(p) for p in glob(str(path), recursive=True) if Path(p).is_file()]
        looked = "there is no such file or folder, and no file fits it as a pattern"
    if not found:
        raise UserError(f"source={source}: {looked}.")
    return sorted(found)


@torch.no_grad()
def predict_files(
    detector: nn.Module,
    paths: Sequence[Path],
    *,
    read: Callable[[Path], Sample],
    collate: Callable[[Sequence[Sample]], Batch],
    device: torch.device,
    batch_size: int = 1,
) -> Iterator[Prediction]:
    """Detect in files; a file that cannot be read is reported and the others go on.

    Args:
        detector: In evaluation mode afterwards.
        paths: The files; predictions come in their order.
        read: A file to a sample, or DataError.
        collate: Samples to a batch.
        device: Where the detector runs.
        batch_size: Images that it sees at once.
    """
    detector.to(device).eval()
    for start in range(0, len(paths), batch_size):
        samples: dict[Path, Sample] = {}
        problems: dict[Path, str] = {}
        for path in paths[start : start + batch_size]:
            try:
                samples[path] = read(path)
            except DataError as error:
                problems[path] = str(error)
        found: list[Detections] = []
        if samples:
            batch = collate(list(samples.values())).to(device)
            found = [d.to("cpu") for d in detector.predict(batch)]  # type: ignore[operator]
        detections = dict(zip(samples, found, strict=True))
        for path in paths[start : start + batch_size]:
            yield Prediction(path, detections.get(path), problems.get(path, ""))


def output_names(paths: Sequence[Path]) -> list[str]:
    """A PNG name for each file; equal stems are told apart by a number."""
    seen: dict[str, int] = {}
    names = []
    for path in paths:
        count = seen[path.stem] = seen.get(path.stem, 0) + 1
        names.append(f"{path.stem}.png" if count == 1 else f"{path.stem}-{count}.png")
    return names
