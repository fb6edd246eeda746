"""Checks of boxes that are dropped, clipped or duplicated."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from detkit.data.audit.evidence import Evidence, Split
from detkit.data.audit.findings import Box, Example, Finding, Limits, make_findings
from detkit.structures import Fault
from detkit.text import listed

_DROPPED = "Training does not use them. "
_REASONS = {
    "no area": (
        "boxes without area",
        "Usually a click instead of a drag: draw them again or delete them.",
    ),
    "inverted corners": (
        "inverted boxes",
        "The second corner is above or left of the first: swap them, or correct the export.",
    ),
    "not finite": (
        "boxes with NaN, infinite or missing numbers",
        "Correct the export that wrote them.",
    ),
    "outside the image": (
        "boxes completely outside of their image",
        "They belong to another image, or have another unit: correct or delete them.",
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
    """Warning: unusable boxes; error: more than `most_lost` of a split's boxes."""
    by_reason: dict[str, list[Example]] = defaultdict(list)
    for split in evidence.splits:
        for fault in split.faults("box"):
            if fault.left_out:
                by_reason[_reason(fault.why)].append(_faulty(split, fault))
    hurt = any(split.lost("box") > limits.most_lost * split.box_count for split in evidence.splits)
    findings = []
    for reason, examples in by_reason.items():
        title, advice = _REASONS.get(
            reason, (f"boxes dropped ({reason})", "Correct or delete them.")
        )
        findings += make_findings(
            title,
            examples,
            evidence.box_counts,
            unit="boxes",
            advice=_DROPPED + advice,
            severity="error" if hurt else "warning",
        )
    return findings


def _reason(cause: str) -> str:
    """Give all out-of-range classes the same reason (YOLO)."""
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
    """A box as short text."""
    return f"[{', '.join(f'{value:g}' for value in box)}]"


def cut_boxes(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Boxes partly outside of their image.

    Note: by up to `slight_overshoot` pixels, as annotation tools do. Warning: by more. Error: by
    more for above `most_outside` of a split's boxes, which then belong to other images.
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
                example = example._replace(detail=f"{example.detail}, {over:.4g} pixels outside")
                if over > limits.slight_overshoot:
                    far.append((over, example))
                else:
                    slight.append(example)
    far.sort(key=lambda case: -case[0])
    advice = "detkit clips them to the image. "
    return [
        *make_findings(
            f"boxes more than {limits.slight_overshoot:g} pixels outside of their image",
            [example for _, example in far],
            evidence.box_counts,
            unit="boxes",
            advice=advice + "If the pictures show boxes next to their objects, images and "
            "annotations do not match.",
            error_above=limits.most_outside,
        ),
        *make_findings(
            "boxes slightly outside of their image",
            slight,
            evidence.box_counts,
            unit="boxes",
            advice=advice + "No action needed.",
            severity="note",
        ),
    ]


def doubled_boxes(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Warning: boxes that are equal within `same_place` pixels, of the same class or of two."""
    doubled: list[Example] = []
    disputed: list[Example] = []
    for split in evidence.splits:
        for first, second in _same_place(split, limits.same_place):
            labels = split.index.labels[[first, second]].tolist()
            names = dict.fromkeys(class_of(split, label) for label in labels)
            box = box_at(split, first)
            owner = split.names[split.owners[first]]
            detail = f"{listed(names)} {box_text(box)}"
            example = Example(split.name, owner, detail, (box,))
            (doubled if labels[0] == labels[1] else disputed).append(example)
    return [
        *make_findings(
            "duplicate boxes",
            doubled,
            evidence.box_counts,
            unit="boxes",
            advice="Delete one of each pair: if the detector finds the object once, the other "
            "box counts as missed.",
        ),
        *make_findings(
            "equal boxes with different classes",
            disputed,
            evidence.box_counts,
            unit="pairs",
            advice="Choose one class, unless an object really has two.",
        ),
    ]


def _same_place(split: Split, tolerance: float) -> list[tuple[int, int]]:
    """Pairs of consecutive objects of an image with the same box."""
    boxes = split.index.boxes
    if len(boxes) == 0:
        return []
    order = np.lexsort((*boxes.T[::-1], split.owners))
    before, after = order[:-1], order[1:]
    same = split.owners[before] == split.owners[after]
    same &= np.abs(boxes[before] - boxes[after]).max(axis=1) <= tolerance
    same &= ~(split.index.ignored[before] | split.index.ignored[after])
    return list(zip(before[same].tolist(), after[same].tolist(), strict=True))


def box_at(split: Split, position: int) -> Box:
    """The box of an object as plain numbers."""
    x1, y1, x2, y2 = split.index.boxes[position].tolist()
    return (x1, y1, x2, y2)
