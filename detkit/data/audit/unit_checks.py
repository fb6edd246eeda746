"""Checks of the units of boxes: pixels or fractions, corners or sizes."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from detkit.data.audit.evidence import Evidence
from detkit.data.audit.findings import Example, Finding, Limits, make_findings
from detkit.data.box_units import ADVICE, find_misreading

_FEWEST_BOXES = 20  # fewer may all be in one part by chance
_TOP_LEFT = 0.6  # of width and height


def misread_boxes(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Warning: boxes in 0..1, or x1 y1 x2 y2 for x y width height; error: above `most_lost`."""
    examples: dict[str, list[Example]] = defaultdict(list)
    for split in evidence.splits:
        misreading = find_misreading(split.index)
        if misreading is not None:
            examples[misreading.cause] += [
                Example(split.name, name, misreading.describe(box), (box,))
                for name, box in misreading.boxes
            ]
    return [
        finding
        for cause, cases in examples.items()
        for finding in make_findings(
            cause,
            cases,
            evidence.box_counts,
            unit="boxes",
            advice=f"Nothing can be learned from them. {ADVICE[cause]}",
            error_above=limits.most_lost,
        )
    ]


def cornered_boxes(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Warning: all boxes of a split are in the top left part of their images."""
    examples = []
    for split in evidence.splits:
        boxes, sizes = split.index.boxes, split.index.sizes[split.owners][:, ::-1]
        if len(boxes) < _FEWEST_BOXES or find_misreading(split.index) is not None:
            continue
        reach = float((boxes[:, 2:] / np.maximum(sizes, 1)).max())
        if reach <= _TOP_LEFT:
            detail = f"no box reaches beyond {reach:.0%} of the width or height of its image"
            examples.append(Example(split.name, "", detail))
    return make_findings(
        "all boxes in the top left part of the images",
        examples,
        {},
        unit="splits",
        advice="The boxes were probably drawn on smaller versions of the images, or are in "
        "percent. Look at pictures (`detkit data show`); scale the boxes, or use the images that "
        "were annotated.",
    )


def are_misread(evidence: Evidence) -> bool:
    """Whether boxes have other units, so that their sizes and positions mean nothing."""
    return any(find_misreading(split.index) is not None for split in evidence.splits)
