"""Run an exported model in its engine and compare it with PyTorch."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from statistics import median
from typing import NamedTuple

from detkit.export.ap_check import MeasuredAP, check_ap
from detkit.export.certificate import Certificate, Check, Speed
from detkit.export.comparison import TOLERANCES, Comparison
from detkit.export.evidence import Evidence
from detkit.export.graph import dynamic_axes, torch_outputs
from detkit.export.layer_check import check_layers, first_difference
from detkit.export.rounding import TRIALS, rounding_note
from detkit.export.trial_images import trials
from detkit.inference.engines.torch_program import torch_threads
from detkit.interfaces import ExportEngine, Exporter
from detkit.structures.export_graph import ExportGraph, WrittenExport

_RUNS, _SECONDS = 20, 3.0  # of a measurement of speed, whichever ends first
_PACKAGES = {"onnxruntime": "onnxruntime", "OpenVINO": "openvino", "torch.export": "torch"}


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
    ap = MeasuredAP({}, {})
    comparison = Comparison(tolerance)
    checks = [
        _check_axes(graph, engine.input_shape),
        _check_outputs(graph, engine, evidence, comparison),
    ]
    if checks[1].passed:
        comparison = Comparison(tolerance)
        check, ap = check_ap(graph, engine, exporter.engine, evidence, comparison)
        checks.append(check)
    difference, tried = None, (graph, exporter, model.path, evidence.images, evidence.step)
    if all(check.passed is not False for check in checks):
        check, difference = check_layers(*tried)
        checks.append(check)
    else:
        difference = first_difference(*tried)
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
        ap=ap.boxes,
        mask_ap=ap.masks,
        rows=comparison.rows,
        different=comparison.different,
        pixels=comparison.pixels,
        score=comparison.score,
        mask=comparison.mask,
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
            comparison.add(torch_outputs(graph, images), engine(images))
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
        few = islice(trials(evidence.images, graph.metadata, evidence.step), TRIALS)
        note = rounding_note(graph, few, comparison.tolerance)
    return Check("outputs", comparison.is_close, text + comparison.text() + note)


def _speed(
    graph: ExportGraph, exporter: Exporter, model: WrittenModel, evidence: Evidence
) -> Speed:
    """The time of the smallest batch that the graph takes, per image, on one thread."""
    images = next(trials(evidence.images, graph.metadata, evidence.step))
    with torch_threads(1):
        pytorch = milliseconds(lambda: torch_outputs(graph, images)) / len(images)
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
