"""`detkit compare`: whether one detector is better than another, or chance explains it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from tqdm import tqdm

from detkit.api.comparison import (
    MeasuredDetector,
    compare_detectors,
    measure_detectors,
)
from detkit.api.comparison_files import write_comparison
from detkit.cli.output_folder import make_folder
from detkit.config.override_text import value_of
from detkit.config.overrides import parse
from detkit.errors import UserError
from detkit.evaluation.bootstrap import BootstrapSettings
from detkit.evaluation.comparison_tables import comparison_lines
from detkit.evaluation.paired_comparison import correction_note, verdict
from detkit.inference.tiled_batches import DetectedBatch
from detkit.text import counted

HELP = """
usage: detkit compare A B [C ...] [KEY=VALUE ...]

Says whether detector A is better than B, C and so on, or chance explains the difference: the same
images are drawn again with replacement, many times, and both are measured on each sample. It shows
AP with the 95 % interval of the difference, the classes and images that made it, and writes
pictures of the ten images that differ most, with the objects and both detections.

A, B, C are run folders, checkpoints, bundles, exported files (.onnx, .xml, .pt2), COCO results
files or folders that `detkit evaluate output=FOLDER` wrote. Classes are matched by name; only those
that both detect count. All must be measured on the same images: data and split are the runs' own,
unless data.path= and split= name others. Exported files and results files need data.path=DATA.

  detkit compare runs/fcos runs/retinanet
  detkit compare runs/fcos runs/retinanet split=test output=test_comparison
  detkit compare runs/fcos fcos.onnx data.path=DATA
  detkit compare numbers_a numbers_b data.path=DATA

output=FOLDER      for comparison.json, images.csv and pictures (comparison); null writes none
intervals={...}    how to draw, such as {samples: 2000, seed: 1}
Other words are those of `detkit evaluate`, for all detectors.
"""
_PICTURES = 10


def run(arguments: list[str]) -> int:
    """Measure all, compare the first with each other one, print and write."""
    sources, words, output, settings = _read(arguments)
    if output is not None:
        make_folder(output)
    detectors = []
    for detector in measure_detectors(sources, words, _progress):
        ap = detector.measurement.numbers["AP"]
        images = counted(len(detector.index), "image")
        print(f"{detector.name}: AP {ap:.3f} on {detector.split} ({images})", flush=True)
        detectors.append(detector)
    first, *others = detectors
    for other in others:
        print()
        _compare(first, other, settings, _folder(output, other, len(others)))
    note = correction_note(len(others))
    print(f"\n{note}" if note else "", end="\n" if note else "")
    return 0


def _compare(
    first: MeasuredDetector,
    other: MeasuredDetector,
    settings: BootstrapSettings,
    folder: Path | None,
) -> None:
    comparison, notes = compare_detectors(first, other, settings)
    print(verdict(comparison.numbers["AP"], comparison.names))
    print("\n".join([*notes, "", *comparison_lines(comparison, _PICTURES)]))
    if folder is not None:
        files = write_comparison(comparison, first, other, folder, _PICTURES)
        pictures = counted(sum(file.suffix == ".jpg" for file in files), "picture")
        print(f"\nwritten: comparison.json, images.csv and {pictures} in {folder}")


def _folder(output: Path | None, other: MeasuredDetector, comparisons: int) -> Path | None:
    """The folder of a pair: the output folder itself for a single pair."""
    if output is None or comparisons == 1:
        return output
    return output / other.name.replace("/", "_")


def _progress(batches: Iterator[DetectedBatch], *, count: int) -> Iterable[DetectedBatch]:
    progress: Iterable[DetectedBatch] = tqdm(batches, total=count, unit="batch", disable=None)
    return progress


def _read(arguments: list[str]) -> tuple[list[str], list[str], Path | None, BootstrapSettings]:
    """The detectors, the words for all, the output folder, and how to draw.

    Raises:
        UserError: There are fewer than two detectors, or a word has no meaning here.
    """
    sources = [w for w in arguments if "=" not in w or Path(w).exists()]
    words = [word for word in arguments if word not in sources]
    if len(sources) < 2:  # noqa: PLR2004  # detectors to compare
        raise UserError(
            f"detkit compare needs two detectors or more, got {len(sources)}: detkit compare "
            "RUN_A RUN_B."
        )
    for word in words:
        if word.startswith(("ckpt=", "detections=")):
            raise UserError(
                f"'{word}': name the detectors without a key: detkit compare RUN_A RUN_B."
            )
    output = value_of(words, "output") or "comparison"
    intervals = [parse(word).value() for word in words if word.startswith("intervals=")]
    settings = BootstrapSettings.of(*intervals[-1:]) or BootstrapSettings()
    if intervals and intervals[-1] is False:
        raise UserError(
            "intervals=false: a comparison needs its intervals; leave the word out, or set "
            "intervals={samples: 1000, seed: 0}."
        )
    others = [word for word in words if not word.startswith(("output=", "intervals="))]
    return sources, others, None if output == "null" else Path(output).expanduser(), settings
