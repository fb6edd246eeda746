"""Checks of the units of boxes: pixels or shares, corners or sizes."""

from __future__ import annotations

from collections import defaultdict

from detkit.data.audit.evidence import Evidence
from detkit.data.audit.findings import Example, Finding, Limits, found
from detkit.data.box_units import ADVICE, find_misreading


def misread_boxes(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Error: boxes in 0..1, or x1 y1 x2 y2 for x y width height; warning: up to `most_lost`."""
    examples: dict[str, list[Example]] = defaultdict(list)
    for split in evidence.splits:
        misreading = find_misreading(split.index)
        if misreading is not None:
            examples[misreading.cause] += [
                Example(split.name, name, misreading.written(box), (box,))
                for name, box in misreading.boxes
            ]
    return [
        finding
        for cause, cases in examples.items()
        for finding in found(
            cause,
            cases,
            evidence.box_counts,
            unit="boxes",
            advice=f"Nothing can be learned from them. {ADVICE[cause]}",
            error_above=limits.most_lost,
        )
    ]


def are_misread(evidence: Evidence) -> bool:
    """Whether boxes are misread, so that their sizes and positions mean nothing."""
    return any(find_misreading(split.index) is not None for split in evidence.splits)
