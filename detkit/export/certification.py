"""Run an exported model in its engine and compare it with PyTorch."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from detkit.export.certificate import Certificate, Check, Speed
from detkit.export.comparison import TOLERANCES, Comparison, Tolerance, split
from detkit.export.graph import dynamic_axes
from detkit.export.layer_check import check_layers, first_difference
from detkit.export.rounding import rounding_note
from detkit.export.trial_images import canvas, trials
from detkit.inference.engines.torch_program import torch_threads
from detkit.interfaces import ExportEngine, Exporter, Metric
from detkit.structures import Batch, Detections
from detkit.structures.arrays import DetectionArrays
from detkit.structures.export_graph import ExportGraph, Images, WrittenExport

Run = Callable[[Images], list[NDArray[Any]]]
_RUNS, _SECONDS = 20, 3.0  # of a measurement of speed, whichever ends first
_ROUNDED_TRIALS = 6  # batches to find out on whether rounding decides
_PACKAGES = {"onnxruntime": "onnxruntime", "OpenVINO": "openvino", "torch.export": "torch"}


@dataclass(frozen=True)
class Evidence:
    """What a model is certified with.

    Attributes:
        images: Images (3, H, W) to compare outputs on.
        step: Sides of trial images are multiples of this.
        batches: The validation set; None if it cannot be read.
        reason: Why not, in words.
        metrics: Two empty metrics, for PyTorch and for the engine.
        predict: PyTorch's detections on a batch, in original coordinates.
        finish: Raw outputs to the detections of each image, for graphs without post-processing;
            None if the post-processing only runs in PyTorch.
        ap_tolerance: The largest change of AP; None takes the precision's.
        threads: Threads for all but the measurement of speed.
    """

    images: Sequence[Images]
    step: int
    batches: Iterable[Batch] | None
    reason: str
    metrics: tuple[Metric, Metric] | None
    predict: Callable[[Batch], list[Detections]]
    finish: Callable[[Sequence[NDArray[Any]]], Iterable[DetectionArrays]] | None = None
    ap_tolerance: float | None = None
    threads: int = 1


class WrittenModel(NamedTuple):
    """A written model.

    Attributes:
        path: Its file or folder.
        exporter: The name of the exporter.
        report: What else the exporter wrote and measured.
    """

    path: Path
    exporter: str
    report: WrittenExport


def certify(
    graph: ExportGraph, exporter: Exporter, model: WrittenModel, evidence: Evidence
) -> Certificate:
    """Check axes, outputs and AP of a written model, and measure its size and speed."""
    engine = exporter.open(model.path, evidence.threads)
    tolerance = TOLERANCES[graph.metadata.precision]
    if evidence.ap_tolerance is not None:
        tolerance = replace(tolerance, ap=evidence.ap_tolerance)
    ap: dict[str, float] = {}
    comparison = Comparison(tolerance)
    checks = [
        _check_axes(graph, engine.input_shape),
        _check_outputs(graph, engine, evidence, comparison),
    ]
    if checks[1].passed:
        comparison = Comparison(tolerance)
        check, ap = _check_ap(graph, engine, exporter.engine, evidence, comparison)
        checks.append(check)
    difference = None
    if all(check.passed is not False for check in checks):
        check, difference = check_layers(
            graph, exporter, model.path, evidence.images, evidence.step
        )
        checks.append(check)
    else:
        difference = first_difference(graph, exporter, model.path, evidence.images, evidence.step)
    passed = all(check.passed is not False for check in checks)
    float_file = model.report.float_file
    return Certificate(
        file=model.path.name,
        exporter=model.exporter,
        engine=f"{exporter.engine}{_version(exporter.engine)}",
        precision=graph.metadata.precision,
        checks=checks,
        megabytes=_megabytes(model.path, float_file),
        float_megabytes=_megabytes(float_file) if float_file else None,
        ap=ap,
        rows=comparison.rows,
        different=comparison.different,
        pixels=comparison.pixels,
        score=comparison.score,
        speed=_speed(graph, exporter, model, evidence) if passed else None,
        sensitivity=model.report.sensitivity,
        first_difference=difference,
    )


def _check_axes(graph: ExportGraph, shape: tuple[int | None, ...]) -> Check:
    """Whether the axes that should be dynamic are so in the file."""
    axes = dynamic_axes(graph)
    fixed = [f"{name} is fixed to {shape[axis]}" for axis, name in axes.items() if shape[axis]]
    text = " x ".join("any" if length is None else str(length) for length in shape)
    return Check("axes", not fixed, ", ".join(fixed) or f"the input is {text}")


def _check_outputs(
    graph: ExportGraph, engine: ExportEngine, evidence: Evidence, comparison: Comparison
) -> Check:
    """Compare outputs for several sizes and numbers of images."""
    shapes = []
    try:
        for images in trials(evidence.images, graph.metadata, evidence.step):
            shapes.append(images.shape)
            comparison.add(_torch_outputs(graph, images), engine(images))
    except Exception as error:  # an engine may fail in any way
        reason = " ".join(str(error).split())[:300]
        return Check(
            "outputs", False, f"images of shape {shapes[-1]}: {type(error).__name__}: {reason}"
        )
    counts = sorted({shape[0] for shape in shapes})
    sizes = list(dict.fromkeys(f"{shape[2]} x {shape[3]}" for shape in shapes))
    source = "" if evidence.batches is not None else " on synthetic images"
    text = f"{', '.join(sizes)} in batches of {', '.join(map(str, counts))}{source}: "
    note = ""
    if not comparison.is_close:
        few = islice(trials(evidence.images, graph.metadata, evidence.step), _ROUNDED_TRIALS)
        note = rounding_note(graph, few, comparison.tolerance)
    return Check("outputs", comparison.is_close, text + comparison.text() + note)


def _torch_outputs(graph: ExportGraph, images: Images) -> list[NDArray[Any]]:
    with torch.no_grad():
        return [output.numpy() for output in graph.module(torch.from_numpy(images))]


def _check_ap(
    graph: ExportGraph, engine: Run, engine_name: str, evidence: Evidence, comparison: Comparison
) -> tuple[Check, dict[str, float]]:
    """Measure AP on the validation set in PyTorch and in the engine."""
    if evidence.batches is None or evidence.metrics is None:
        return Check("AP", None, evidence.reason), {}
    image_count = 0
    for batch in evidence.batches:
        image_count += len(batch)
        inputs = canvas(batch, graph.metadata)
        expected = _torch_outputs(graph, inputs)
        actual: Sequence[NDArray[Any]] = _in_parts(engine, inputs, graph.metadata.batch)
        comparison.add(expected, actual)
        if not graph.metadata.nms and evidence.finish is None:
            continue
        images = split(actual) if evidence.finish is None else evidence.finish(actual)
        detections = batch.without_blank(evidence.predict(batch))
        exported = batch.without_blank(list(_original(batch, images)))
        for metric, side in zip(evidence.metrics, (detections, exported), strict=True):
            metric.update(batch.image_ids, side, batch.original_targets)
    if not graph.metadata.nms and evidence.finish is None:
        reason = "not measured, as the post-processing only runs in PyTorch; on validation images "
        return Check("AP", None, reason + comparison.text()), {}
    ap = [float(metric.compute()["AP"]) for metric in evidence.metrics]
    # NaN without objects
    is_close = np.isclose(ap[0], ap[1], rtol=0, atol=comparison.tolerance.ap, equal_nan=True)
    passed = bool(is_close) and comparison.is_close
    text = (
        f"{ap_text(ap[0])} in PyTorch, {ap_text(ap[1])} in {engine_name} on {image_count:,} images"
    )
    text += f" (may change by {comparison.tolerance.ap:g}); "
    text += _difference_text(comparison)
    if not comparison.is_close:
        few = islice(evidence.batches, _ROUNDED_TRIALS)
        few_inputs = (canvas(batch, graph.metadata) for batch in few)
        text += rounding_note(graph, few_inputs, comparison.tolerance)
    return (
        Check("AP", passed, text),
        {"PyTorch": ap[0], engine_name: ap[1]},
    )


def ap_text(value: float) -> str:
    """AP with three digits and without the zero before them."""
    text = f"{value:.3f}"
    return text[1:] if text.startswith("0.") else text


def _difference_text(comparison: Comparison) -> str:
    tolerance: Tolerance = comparison.tolerance
    if not np.isfinite(tolerance.pixels):
        return f"{comparison.rows:,} detections"
    return (
        f"{comparison.different:,} of {comparison.rows:,} detections differ by more than "
        f"{tolerance.pixels:g} px or {tolerance.score:g} in score"
    )


def _in_parts(engine: Run, images: Images, batch: int | None) -> list[NDArray[Any]]:
    """Run images through an engine whose number of images may be fixed."""
    if batch is None:
        return engine(images)
    missing = -len(images) % batch
    padded = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])
    parts = [engine(padded[start : start + batch]) for start in range(0, len(padded), batch)]
    return [np.concatenate(outputs)[: len(images)] for outputs in zip(*parts, strict=True)]


def _original(batch: Batch, images: Iterable[DetectionArrays]) -> Iterator[Detections]:
    """The detections of each image in the coordinates of the original images."""
    geometry = zip(images, batch.to_image, batch.original_sizes, strict=True)
    for (boxes, scores, labels), to_image, size in geometry:
        values = (boxes.astype(np.float32), scores.astype(np.float32), labels.astype(np.int64))
        detections = Detections(*map(torch.from_numpy, values))
        yield detections.to_original(to_image, size)


def _speed(
    graph: ExportGraph, exporter: Exporter, model: WrittenModel, evidence: Evidence
) -> Speed:
    """The time of the smallest batch that the graph takes, per image, on one thread."""
    images = next(trials(evidence.images, graph.metadata, evidence.step))
    with torch_threads(1):
        pytorch = milliseconds(lambda: _torch_outputs(graph, images)) / len(images)
    times = []
    for file in (model.path, model.report.float_file):
        if file is not None:
            run = exporter.open(file, 1)
            times.append(milliseconds(partial(run, images)) / len(images))
    return Speed(images.shape[2:], pytorch, *times)


def milliseconds(run: Callable[[], object]) -> float:
    """The median processor time of a call that uses one thread.

    Other programs do not lengthen it; on an idle machine the call takes as long.
    """
    run()
    times: list[float] = []
    start = time.process_time()
    while len(times) < _RUNS and (not times or time.process_time() - start < _SECONDS):
        begin = time.process_time()
        run()
        times.append((time.process_time() - begin) * 1000)
    return median(times)


def _version(engine: str) -> str:
    try:
        return f" {version(_PACKAGES[engine])}"
    except (KeyError, PackageNotFoundError):
        return ""


def _megabytes(path: Path, other: Path | None = None) -> float:
    """Size of a file with the files that belong to it, or of a folder without another file."""
    files = path.rglob("*") if path.is_dir() else (path, path.with_suffix(".bin"))
    return sum(f.stat().st_size for f in files if f.is_file() and f != other) / 1e6
