"""The certificate's check of AP: the validation set through the same evaluator on both sides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detkit.export.certificate import Check
from detkit.export.comparison import Comparison, Tolerance, split
from detkit.export.evidence import Evidence
from detkit.export.graph import torch_outputs
from detkit.export.rounding import TRIALS, rounding_note
from detkit.export.trial_images import canvas
from detkit.structures import Batch, Detections
from detkit.structures.arrays import DetectionArrays
from detkit.structures.export_graph import ExportGraph, Images

Run = Callable[[Images], list[NDArray[Any]]]
_MASKS = "mask_AP"


class MeasuredAP(NamedTuple):
    """AP by program.

    Attributes:
        boxes: Of boxes; empty if it was not measured.
        masks: Of masks; empty if it was not measured.
    """

    boxes: dict[str, float]
    masks: dict[str, float]


def check_ap(
    graph: ExportGraph, engine: Run, engine_name: str, evidence: Evidence, comparison: Comparison
) -> tuple[Check, MeasuredAP]:
    """Measure AP on the validation set in PyTorch and in the engine.

    Args:
        graph: The graph that the model was made from.
        engine: Runs the written model.
        engine_name: Its name.
        evidence: The validation set and what measures on it.
        comparison: Gets the outputs of both sides.
    """
    if evidence.batches is None or evidence.metrics is None:
        return Check("AP", None, evidence.reason), MeasuredAP({}, {})
    image_count = _run_both(graph, engine, evidence, comparison)
    if not graph.metadata.nms and evidence.finish is None:
        reason = "not measured, as the post-processing only runs in PyTorch; on validation images "
        return Check("AP", None, reason + comparison.text()), MeasuredAP({}, {})
    numbers = [metric.compute() for metric in evidence.metrics]
    programs = ("PyTorch", engine_name)
    boxes, masks = (
        {name: float(n.get(key, np.nan)) for name, n in zip(programs, numbers, strict=True)}
        for key in ("AP", _MASKS)
    )
    masks = masks if _MASKS in numbers[0] else {}
    tolerance = comparison.tolerance
    passed = comparison.is_close and all(_is_close(ap, tolerance) for ap in (boxes, masks) if ap)
    text = f"{_side_by_side(boxes)} on {image_count:,} images"
    if graph.metadata.mask_size is not None:
        text += f"; {_mask_text(masks)}"
    text += f" (may change by {tolerance.ap:g}); {_difference_text(comparison)}"
    if not comparison.is_close:
        few = islice(evidence.batches, TRIALS)
        few_inputs = (canvas(batch, graph.metadata) for batch in few)
        text += rounding_note(graph, few_inputs, tolerance)
    return Check("AP", passed, text), MeasuredAP(boxes, masks)


def ap_text(value: float) -> str:
    """AP with three digits and without the zero before them."""
    text = f"{value:.3f}"
    return text[1:] if text.startswith("0.") else text


def _run_both(graph: ExportGraph, engine: Run, evidence: Evidence, comparison: Comparison) -> int:
    """Run both programs on the validation set; count its images."""
    image_count = 0
    for batch in evidence.batches or ():
        image_count += len(batch)
        inputs = canvas(batch, graph.metadata)
        actual: Sequence[NDArray[Any]] = _in_parts(engine, inputs, graph.metadata.batch)
        comparison.add(torch_outputs(graph, inputs), actual)
        if not graph.metadata.nms and evidence.finish is None:
            continue
        images = split(actual) if evidence.finish is None else evidence.finish(actual)
        detections = batch.without_blank(evidence.predict(batch))
        exported = batch.without_blank(list(_original(batch, images)))
        for metric, side in zip(evidence.metrics or (), (detections, exported), strict=True):
            metric.update(batch.image_ids, side, batch.original_targets)
    return image_count


def _is_close(ap: dict[str, float], tolerance: Tolerance) -> bool:
    expected, actual = ap.values()  # NaN without objects
    return bool(np.isclose(expected, actual, rtol=0, atol=tolerance.ap, equal_nan=True))


def _side_by_side(ap: dict[str, float]) -> str:
    return ", ".join(f"{ap_text(value)} in {program}" for program, value in ap.items())


def _mask_text(masks: dict[str, float]) -> str:
    if not masks:
        return "mask AP was not measured: the data or the metric have no masks"
    return f"mask AP {_side_by_side(masks)}"


def _difference_text(comparison: Comparison) -> str:
    tolerance: Tolerance = comparison.tolerance
    if not np.isfinite(tolerance.pixels):
        return f"{comparison.rows:,} detections"
    score = f"{tolerance.score:g} in score"
    if comparison.mask is not None:
        score = f"{score} or {tolerance.mask:g} in a mask"
    return (
        f"{comparison.different:,} of {comparison.rows:,} detections differ by more than "
        f"{tolerance.pixels:g} px{' or' if comparison.mask is None else ','} {score}"
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
    for arrays, to_image, size in zip(images, batch.to_image, batch.original_sizes, strict=True):
        yield Detections.of(arrays).to_original(to_image, size)
