"""Checks of the boxes: those that are left out, doubled, or of an unlikely size or shape."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from detkit.data.audit.evidence import Evidence, Split
from detkit.data.audit.findings import Box, Example, Finding, Limits, found
from detkit.structures import Fault
from detkit.text import listed

_LEFT_OUT = "They are left out and training goes on. "
_REASONS = {
    "no area": (
        "boxes without area",
        "Mostly a click instead of a drag: draw them again or delete them.",
    ),
    "inverted corners": (
        "inverted boxes",
        "The second corner lies above or left of the first: swap them, or correct the export.",
    ),
    "not finite": (
        "boxes with NaN, infinite or missing numbers",
        "Correct the export that wrote them.",
    ),
    "outside the image": (
        "boxes wholly outside their image",
        "They belong to another image, or are in another unit: correct or delete them.",
    ),
    "of an unknown category": (
        "boxes of an unknown class",
        "Add the class to the list of classes, or correct the class id.",
    ),
    "of an image that is not listed": (
        "boxes of images that are not listed",
        "List the images, or delete these annotations.",
    ),
}
_CUT = "partly outside the image"
_FEW = 3  # boxes that a detail writes out


def lost_boxes(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Warning: boxes that cannot be used; error: more than `most_lost` of a split's boxes."""
    by_reason: dict[str, list[Example]] = defaultdict(list)
    for split in evidence.splits:
        for fault in split.faults("box"):
            if fault.left_out:
                by_reason[_reason(fault.why)].append(_faulty(split, fault))
    hurt = any(split.lost("box") > limits.most_lost * split.box_count for split in evidence.splits)
    findings = []
    for reason, examples in by_reason.items():
        title, advice = _REASONS.get(
            reason, (f"boxes left out ({reason})", "Correct or delete them.")
        )
        findings += found(
            title,
            examples,
            evidence.box_counts,
            unit="boxes",
            advice=_LEFT_OUT + advice,
            severity="error" if hurt else "warning",
        )
    return findings


def _reason(cause: str) -> str:
    """One reason for all classes that are out of range (YOLO)."""
    return "of an unknown category" if cause.startswith("class ") else cause


def _faulty(split: Split, fault: Fault) -> Example:
    parts = [fault.detail, fault.why if fault.why.startswith("class ") else ""]
    if fault.box is not None:
        parts.insert(0, f"{class_of(split, fault.label)} {box_text(fault.box)}")
    detail = ", ".join(part for part in parts if part)
    return Example(split.name, fault.name, detail, () if fault.box is None else (fault.box,))


def class_of(split: Split, label: int | None) -> str:
    """The name of a label."""
    return "" if label is None else split.index.class_names[label]


def box_text(box: Box) -> str:
    """A box in few letters."""
    return f"[{', '.join(f'{value:g}' for value in box)}]"


def cut_boxes(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Boxes partly outside.

    Note: by up to `slight_overshoot` pixels, as annotation tools do. Warning: by more. Error: by
    more in above `most_outside` of a split's boxes, which must then be those of other images.
    """
    slight: list[Example] = []
    far: list[tuple[float, Example]] = []
    for split in evidence.splits:
        position = {name: number for number, name in enumerate(split.names)}
        for fault in split.faults("box"):
            if fault.why == _CUT and fault.box is not None:
                height, width = split.index.sizes[position[fault.name]]
                x1, y1, x2, y2 = fault.box
                over = float(max(-x1, -y1, x2 - width, y2 - height))
                example = _faulty(split, fault)
                example = example._replace(detail=f"{example.detail}, {over:.4g} pixels over")
                if over > limits.slight_overshoot:
                    far.append((over, example))
                else:
                    slight.append(example)
    far.sort(key=lambda case: -case[0])
    advice = "They are cut at the edge. "
    return [
        *found(
            f"boxes more than {limits.slight_overshoot:g} pixels over the edge of their image",
            [example for _, example in far],
            evidence.box_counts,
            unit="boxes",
            advice=advice + "If the pictures show boxes beside their objects, image and annotation "
            "do not belong together.",
            error_above=limits.most_outside,
        ),
        *found(
            "boxes slightly over the edge of their image",
            slight,
            evidence.box_counts,
            unit="boxes",
            advice=advice + "Nothing has to be done.",
            severity="note",
        ),
    ]


def doubled_boxes(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Warning: boxes in one place, within `same_place` pixels: of one class, or of two."""
    doubled: list[Example] = []
    disputed: list[Example] = []
    for split in evidence.splits:
        for first, second in _same_place(split, limits.same_place):
            labels = split.index.labels[[first, second]].tolist()
            names = dict.fromkeys(class_of(split, label) for label in labels)
            box = _box(split, first)
            owner = split.names[split.owners[first]]
            detail = f"{listed(names)} {box_text(box)}"
            example = Example(split.name, owner, detail, (box,))
            (doubled if labels[0] == labels[1] else disputed).append(example)
    return [
        *found(
            "boxes that stand twice",
            doubled,
            evidence.box_counts,
            unit="boxes",
            advice="Delete one of each pair: the second one counts as missed when the detector "
            "finds the object once.",
        ),
        *found(
            "boxes in one place with different classes",
            disputed,
            evidence.box_counts,
            unit="pairs",
            advice="Decide for one class, unless an object really has two.",
        ),
    ]


def _same_place(split: Split, tolerance: float) -> list[tuple[int, int]]:
    """Pairs of objects of an image, each with the next one that has its box."""
    boxes = split.index.boxes
    if len(boxes) == 0:
        return []
    order = np.lexsort((*boxes.T[::-1], split.owners))
    before, after = order[:-1], order[1:]
    same = split.owners[before] == split.owners[after]
    same &= np.abs(boxes[before] - boxes[after]).max(axis=1) <= tolerance
    same &= ~(split.index.ignored[before] | split.index.ignored[after])
    return list(zip(before[same].tolist(), after[same].tolist(), strict=True))


def _box(split: Split, position: int) -> Box:
    x1, y1, x2, y2 = split.index.boxes[position].tolist()
    return (x1, y1, x2, y2)


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
        text=lambda value: f"{-value:.2g} pixels wide as the detector sees it",
        advice=f"The finest level has one cell each {stride} pixels, so they will hardly be found: "
        "use larger images (augmentation resize), cut large images into tiles, or add a finer "
        "level.",
    )


def long_boxes(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Note: boxes above `longest_ratio` between their sides; warning above `most_unusual`."""
    return _by_size(
        evidence,
        limits,
        title=f"boxes more than {limits.longest_ratio:g} times as long as wide",
        measure=lambda evidence, split: _ratios(split),
        above=limits.longest_ratio,
        text=lambda value: f"sides 1 : {value:.3g}",
        advice="Anchors of usual ratios match them badly: heads without anchors (fcos, atss) suit "
        "them better. If the pictures show slivers at the edge, delete them.",
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
        advice="Right for a close-up. If they stand where nobody drew a box, delete them.",
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
    """Boxes with a measure above a limit, the highest first; ignored ones do not count."""
    cases: list[tuple[float, Example]] = []
    for split in evidence.splits:
        values = measure(evidence, split)
        selected = (values > above) & ~split.index.ignored
        for position in np.flatnonzero(selected).tolist():
            box, value = _box(split, position), float(values[position])
            name = class_of(split, int(split.index.labels[position]))
            detail = f"{name} {box_text(box)}, {text(value)}"
            owner = split.names[split.owners[position]]
            cases.append((value, Example(split.name, owner, detail, (box,))))
    cases.sort(key=lambda case: -case[0])
    return found(
        title,
        [example for _, example in cases],
        evidence.box_counts,
        unit="boxes",
        advice=advice,
        severity="note",
        warning_above=limits.most_unusual,
    )


def sides(split: Split) -> NDArray[np.float64]:
    """(M, 2) width and height of the boxes in pixels of their images."""
    boxes = split.index.boxes.astype(np.float64)
    both: NDArray[np.float64] = boxes[:, 2:] - boxes[:, :2]
    return both


def detector_sides(evidence: Evidence, split: Split) -> NDArray[np.float64]:
    """(M,) square root of the area of the boxes as the detector sees them."""
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
