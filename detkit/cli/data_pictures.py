"""Draw the findings of an audit."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

from detkit.data.audit.evidence import Evidence, Split
from detkit.data.audit.findings import Box, Example, Finding
from detkit.data.image_decoding import preview
from detkit.pixels.image_decoding import UnreadableImageError
from detkit.visualization.cases import Case, draw_cases
from detkit.visualization.colours import IGNORED_COLOUR, class_colour
from detkit.visualization.draw import Mark, to_picture

_MOST_BOXES = 20  # per finding and image
_LABELLED = 5  # most boxes with labels


def write_pictures(
    evidence: Evidence, findings: Sequence[Finding], folder: Path, most: int
) -> list[Path]:
    """Write a PNG for each finding about readable images; return the files.

    Args:
        evidence: The images and their boxes.
        findings: The findings, each with its worst examples first.
        folder: The folder for the pictures; earlier pictures in it are replaced.
        most: Images, or pairs of images, per picture.
    """
    for earlier in folder.glob("*.png"):
        earlier.unlink()
    files = []
    for finding in findings if most else []:
        cases = _cases(evidence, finding, most)
        if cases:
            folder.mkdir(parents=True, exist_ok=True)
            file = folder / f"{finding.severity}_{_slug(finding.kind)}.png"
            pairs = finding.examples[0].twin is not None
            draw_cases(cases, columns=2 if pairs else 3).save(file)
            files.append(file)
    return files


def _slug(kind: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", kind.lower()).strip("_")[:60]


def _cases(evidence: Evidence, finding: Finding, most: int) -> list[Case]:
    """The worst images of a finding, each with all its boxes of the finding."""
    by_image: dict[tuple[str, str], list[Example]] = {}
    for example in finding.examples:
        if example.name:
            key = (example.split, example.name + str(example.twin or ""))
            by_image.setdefault(key, []).append(example)
    cases: list[Case] = []
    count = 0
    for examples in by_image.values():
        if count == most:
            break
        case = _case(evidence, examples, finding.unit == "boxes")
        cases += case
        count += bool(case)
    return cases


def _case(evidence: Evidence, examples: Sequence[Example], about_boxes: bool) -> list[Case]:
    first = examples[0]
    named = [box for example in examples[:_MOST_BOXES] for box in example.boxes]
    boxes = [box for box in named if all(map(math.isfinite, box))]
    if about_boxes and not boxes:
        return []  # NaN cannot be drawn
    text = first.detail.split(" [")[0] if 0 < len(boxes) <= _LABELLED else ""
    images = [(first.split, first.name, boxes)]
    if first.twin is not None:
        images.append((*first.twin, []))
    cases = []
    for split, name, faulty in images:
        try:
            picture = to_picture(preview(evidence.path / name))
        except UnreadableImageError:
            return []
        caption = f"{split}: {name}"
        cases.append(Case(picture, caption, faulty, text, _others(evidence, split, name, faulty)))
    return cases


def _others(evidence: Evidence, split: str, name: str, faulty: Sequence[Box]) -> list[Mark]:
    """The remaining boxes of an image, in the colours of their classes."""
    match: Split | None = next((s for s in evidence.splits if s.name == split), None)
    if match is None or name not in match.names:
        return []
    position = match.names.index(name)
    objects = slice(*match.index.object_offsets[position : position + 2].tolist())
    columns = (
        match.index.boxes[objects].tolist(),
        match.index.labels[objects].tolist(),
        match.index.ignored[objects].tolist(),
    )
    return [
        Mark(tuple(box), "", IGNORED_COLOUR if ignored else class_colour(label), bool(ignored))
        for box, label, ignored in zip(*columns, strict=True)
        if tuple(box) not in faulty
    ]
