"""Measure several detectors on the same images, for `detkit compare`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from detkit.api.checkpoint_config import checkpoint_of, compose_with
from detkit.api.evaluation import Evaluation, FileEvaluation, evaluation_of
from detkit.api.exported_backend import ExportedBackend
from detkit.api.exported_evaluation import exported_evaluation
from detkit.config.compose import compose
from detkit.config.override_text import value_of
from detkit.config.overrides import quoted_value
from detkit.data.detection_dataset import DetectionDataset
from detkit.errors import UserError
from detkit.evaluation.bootstrap import BootstrapSettings
from detkit.evaluation.coco_matches import CocoMatches
from detkit.evaluation.coco_metric import CocoMetric
from detkit.evaluation.comparison_tables import PairedComparison
from detkit.evaluation.metrics_table import MASK
from detkit.evaluation.paired_comparison import align, image_effects, paired_numbers
from detkit.inference.engines.opening import exported_file
from detkit.inference.measuring import Measurement
from detkit.inference.tiled_batches import DetectedBatch
from detkit.pixels.pixel_format import PixelFormat
from detkit.runs.checkpoint import find_checkpoint
from detkit.runs.layout import RunFolder
from detkit.structures import DatasetIndex, DetectionArrays, Sample
from detkit.text import counted, listed
from detkit.visualization.comparison_pictures import DetectorView

RESULTS_FILE = "detections.json"  # that `detkit evaluate output=FOLDER` writes
_USUAL_SCORE = 0.3  # to draw, if no threshold is better than another


class Track(Protocol):
    """Wraps the batches of a detector, such as in a progress bar; `count` is their number."""

    def __call__(self, batches: Iterator[DetectedBatch], *, count: int) -> Iterable[DetectedBatch]:
        """The same batches."""
        ...


def untracked(batches: Iterator[DetectedBatch], *, count: int) -> Iterable[DetectedBatch]:
    """The batches as they are."""
    return batches


@dataclass(frozen=True)
class MeasuredDetector:
    """A detector that was measured.

    Attributes:
        name: A short name, different from those of the other detectors.
        source: The run, exported file or file of detections.
        measurement: Its numbers.
        metric: Its matches.
        index: The images and objects, with the detector's classes.
        split: The data set's name of the images.
        pixels: Channels and value range of the images.
    """

    name: str
    source: str
    measurement: Measurement
    metric: CocoMetric
    index: DatasetIndex
    split: str
    pixels: PixelFormat

    def read(self, position: int) -> Sample:
        """The image at a position of the index, with its objects.

        Raises:
            UnreadableImageError: The file cannot be decoded.
        """
        return DetectionDataset(self.index, transforms={}, seed=0, pixels=self.pixels).read(
            position
        )

    def view(self, image_id: int) -> DetectorView:
        """The detections of an image above the score with the best F1."""
        image = self.metric.images.by_id()[image_id]
        best = self.measurement.analysis.thresholds.best[-1].score_threshold
        threshold = best if math.isfinite(best) else _USUAL_SCORE
        visible = image.scores >= threshold
        detections = DetectionArrays(
            image.boxes[visible], image.scores[visible], image.labels[visible]
        )
        return DetectorView(self.name, detections, self.index.class_names, threshold)


def measure_detectors(
    sources: Sequence[str], words: Sequence[str], track: Track = untracked
) -> Iterator[MeasuredDetector]:
    """Measure each detector, one after the other; the networks do not stay in memory.

    Args:
        sources: Runs, checkpoints, bundles, exported files, files of detections, or the folders of
            `detkit evaluate output=FOLDER`.
        words: Overrides for all, such as `data.path=DATA` and `split=test`.
        track: Wraps the batches of a detector, such as in a progress bar.

    Raises:
        UserError: A source or the data cannot be read, or its metric is not COCO's.
    """
    names = short_names(sources)
    if all(results_file(source) is not None for source in sources):
        _refuse_device(words)
    for source in sources:  # a typing error in the last one must not cost the time of the first
        if results_file(source) is not None:
            _require_data(source, words)
        elif exported_file(source) is None:
            find_checkpoint(source)
    for source, name in zip(sources, names, strict=True):
        evaluation = _evaluation(source, list(words))
        metric = evaluation.metric
        if not isinstance(metric, CocoMetric):
            raise UserError(
                f"{source}: is measured by {type(metric).__name__}, and `detkit compare` needs "
                "COCO's AP: add metric=coco."
            )
        if isinstance(evaluation, Evaluation):
            measurement = evaluation.run(partial(track, count=len(evaluation)))
        else:
            measurement = evaluation.run()
        split, pixels = evaluation.split, evaluation.pixels
        yield MeasuredDetector(name, source, measurement, metric, split.index, split.name, pixels)


def short_names(sources: Sequence[str]) -> list[str]:
    """The last parts of the paths, as many as are needed to tell the sources apart.

    Raises:
        UserError: A source is named twice.
    """
    paths = [Path(source).expanduser().resolve() for source in sources]
    for position, path in enumerate(paths):
        if path in paths[:position]:
            raise UserError(f"{sources[position]}: is named twice; name different detectors.")
    for length in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-length:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return list(sources)


def _evaluation(source: str, words: list[str]) -> Evaluation | FileEvaluation:
    file = results_file(source)
    if file is not None:
        others = [word for word in words if not word.startswith("device=")]
        return FileEvaluation(
            compose("measure", [f"detections={quoted_value(str(file))}", *others])
        )
    exported = exported_file(source)
    if exported is not None:
        others = [word for word in words if not word.startswith("device=")]
        backend = ExportedBackend(exported, device=value_of(words, "device") or "auto")
        return exported_evaluation(backend, others)
    words = [f"ckpt={quoted_value(source)}", *words]
    checkpoint = checkpoint_of([f"ckpt={source}"], "compare")
    config = compose_with(checkpoint, "evaluate", words)
    return evaluation_of(checkpoint, config, device=config["device"])


def results_file(source: str) -> Path | None:
    """The file of detections that a source is or contains; None for a detector."""
    path = Path(source).expanduser()
    if path.suffix == ".json" and path.is_file():
        return path
    inside = path / RESULTS_FILE
    return inside if inside.is_file() and not RunFolder(path).config.is_file() else None


def _refuse_device(words: Sequence[str]) -> None:
    for word in words:
        if word.startswith("device="):
            raise UserError(f"{word}: files of detections need no device; leave the word out.")


def _require_data(source: str, words: Sequence[str]) -> None:
    if not any(word.startswith(("data=", "data.path=", "data.reader")) for word in words):
        raise UserError(
            f"{source}: a file of detections names no data set: add data.path=DATA, the one that "
            "the detections are of."
        )


def compare_detectors(
    first: MeasuredDetector, other: MeasuredDetector, settings: BootstrapSettings
) -> tuple[PairedComparison, list[str]]:
    """Compare two detectors on the same images; also lines on what was left out.

    Raises:
        DataError: They were measured on different images or objects, or share no class.
    """
    matches, of_other = first.metric.matches(), other.metric.matches()
    pair = align(matches[""], of_other[""])
    masks = {}
    if MASK in matches and MASK in of_other:
        masks = paired_numbers(*align(matches[MASK], of_other[MASK]), settings)
    files = [str(first.index.path(n).name) for n in range(len(first.index))]
    names = dict(zip(first.index.image_ids.tolist(), files, strict=True))
    comparison = PairedComparison(
        names=(first.name, other.name),
        settings=settings,
        classes=pair[0].class_names,
        numbers=paired_numbers(*pair, settings),
        mask_numbers=masks,
        image_ids=pair[0].image_ids.tolist(),
        image_names=[names[number] for number in pair[0].image_ids.tolist()],
        effects=image_effects(*pair),
    )
    return comparison, list(_class_notes(matches[""], of_other[""], comparison))


def _class_notes(
    matches: CocoMatches, of_other: CocoMatches, comparison: PairedComparison
) -> Iterator[str]:
    """A line for each detector with classes that the other one does not detect."""
    for name, of_detector in zip(comparison.names, (matches, of_other), strict=True):
        only = [n for n in of_detector.class_names if n not in comparison.classes]
        if only:
            classes = counted(len(comparison.classes), "class")
            yield f"compared by {classes}; only {name} detects {listed(only[:8])}"
