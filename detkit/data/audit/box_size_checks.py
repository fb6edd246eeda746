"""Checks of the sizes and shapes of boxes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from detkit.data.audit.box_checks import box_at, box_text, class_of
from detkit.data.audit.evidence import Evidence, Split
from detkit.data.audit.findings import Example, Finding, Limits, make_findings

Measure = Callable[[Evidence, Split], NDArray[np.float64]]


def tiny_boxes(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Note: boxes smaller than the finest stride after resizing; warning above `most_unusual`."""
    stride = evidence.resizing.strides[0]
    return _by_size(
        evidence,
        limits,
        title=f"boxes smaller than {stride} pixels after resizing",
        measure=lambda evidence, split: -detector_sides(evidence, split),
        above=-stride,
        text=lambda value: f"{-value:.2g} pixels wide after resizing",
        advice=f"The finest level has one cell per {stride} pixels, so the detector will miss most "
        "of them: use larger images (augmentation resize), cut large images into tiles, or add a "
        "finer level.",
    )


def long_boxes(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Note: boxes with an aspect ratio above `longest_ratio`; warning above `most_unusual`."""
    return _by_size(
        evidence,
        limits,
        title=f"boxes more than {limits.longest_ratio:g} times as long as wide",
        measure=lambda evidence, split: _ratios(split),
        above=limits.longest_ratio,
        text=lambda value: f"sides 1 : {value:.3g}",
        advice="Anchors with usual ratios match them poorly; heads without anchors (fcos, atss) "
        "are better suited. If the pictures show slivers at the edge, delete them.",
    )


def covering_boxes(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Note: boxes that cover `covering` of their image; warning above `most_unusual`."""
    return _by_size(
        evidence,
        limits,
        title=f"boxes that cover {limits.covering:.0%} of their image or more",
        measure=lambda evidence, split: _shares(split),
        above=limits.covering,
        text=lambda value: f"{value:.0%} of the image",
        advice="This is right for close-ups. If nobody drew these boxes, delete them.",
    )


def _by_size(
    evidence: Evidence,
    limits: Limits,
    *,
    title: str,
    measure: Measure,
    above: float,
    text: Callable[[float], str],
    advice: str,
) -> list[Finding]:
    """Boxes with a measure above a limit, the highest first, without ignored ones."""
    cases: list[tuple[float, Example]] = []
    for split in evidence.splits:
        values = measure(evidence, split)
        selected = (values > above) & ~split.index.ignored
        for position in np.flatnonzero(selected).tolist():
            box, value = box_at(split, position), float(values[position])
            name = class_of(split, int(split.index.labels[position]))
            detail = f"{name} {box_text(box)}, {text(value)}"
            owner = split.names[split.owners[position]]
            cases.append((value, Example(split.name, owner, detail, (box,))))
    cases.sort(key=lambda case: -case[0])
    return make_findings(
        title,
        [example for _, example in cases],
        evidence.box_counts,
        unit="boxes",
        advice=advice,
        severity="note",
        warning_above=limits.most_unusual,
    )


def sides(split: Split) -> NDArray[np.float64]:
    """(M, 2) width and height of the boxes in pixels."""
    boxes = split.index.boxes.astype(np.float64)
    both: NDArray[np.float64] = boxes[:, 2:] - boxes[:, :2]
    return both


def detector_sides(evidence: Evidence, split: Split) -> NDArray[np.float64]:
    """(M,) square root of the area of the boxes after resizing."""
    factors = evidence.resizing.factors(split.index.sizes)[split.owners]
    seen: NDArray[np.float64] = np.sqrt(sides(split).prod(axis=1)) * factors
    return seen


def _ratios(split: Split) -> NDArray[np.float64]:
    both = sides(split)
    ratios: NDArray[np.float64] = both.max(axis=1) / np.maximum(both.min(axis=1), 1e-6)
    return ratios


def _shares(split: Split) -> NDArray[np.float64]:
    image = split.index.sizes.astype(np.float64).prod(axis=1)
    covered: NDArray[np.float64] = sides(split).prod(axis=1) / np.maximum(image[split.owners], 1)
    return covered
