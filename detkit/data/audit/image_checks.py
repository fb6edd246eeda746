"""Checks of readable image files: orientation, colour mode, content and size."""

from __future__ import annotations

from collections import defaultdict

from detkit.data.audit.duplicates import is_flat
from detkit.data.audit.evidence import Evidence
from detkit.data.audit.findings import Example, Finding, Limits, make_findings

_DEEP = ("I", "F")  # modes of more than 8 bits start with these letters
_UPRIGHT = 1


def turned_images(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Note: images with an EXIF orientation, which detkit applies."""
    examples = [
        Example(split.name, name, f"EXIF orientation {facts.orientation}")
        for split in evidence.splits
        for name, facts in zip(split.names, split.files, strict=True)
        if facts.orientation != _UPRIGHT
    ]
    advice = (
        "detkit applies the EXIF rotation. Look at the pictures: if boxes are next to their "
        "objects, they were drawn on the unrotated image; then remove the EXIF orientation."
    )
    return make_findings(
        "images with EXIF orientation",
        examples,
        evidence.image_counts,
        unit="images",
        advice=advice,
        severity="note",
    )


def unusual_images(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Note: palette and CMYK images, and images with more than 8 bits."""
    by_kind: dict[str, list[Example]] = defaultdict(list)
    for split in evidence.splits:
        for name, facts in zip(split.names, split.files, strict=True):
            example = Example(split.name, name, f"{facts.kind} {facts.mode}")
            if facts.mode.startswith(_DEEP):
                by_kind["images with more than 8 bits"].append(example)
            elif facts.mode in ("P", "CMYK"):
                by_kind[f"{'palette' if facts.mode == 'P' else 'CMYK'} images"].append(example)
    advice = {
        "images with more than 8 bits": "detkit scales each image from its darkest to its "
        "brightest value; convert them to 8 bits yourself if brightness must be comparable.",
    }
    return [
        finding
        for kind, examples in by_kind.items()
        for finding in make_findings(
            kind,
            examples,
            evidence.image_counts,
            unit="images",
            severity="note",
            advice=advice.get(kind, "detkit converts them to RGB; no action needed."),
        )
    ]


def blank_images(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Warning: images with a single brightness; error: more than `most_lost` of a split."""
    examples = [
        Example(split.name, name, "a single brightness")
        for split in evidence.splits
        for name, facts in zip(split.names, split.files, strict=True)
        if is_flat(facts)
    ]
    advice = "Delete them, unless the detector will see empty images in use."
    return make_findings(
        "blank images",
        examples,
        evidence.image_counts,
        unit="images",
        advice=advice,
        error_above=limits.most_lost,
    )


def tiny_images(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Warning: images with a side below `smallest_side` pixels."""
    examples = [
        Example(split.name, name, f"{facts.size[1]} x {facts.size[0]} pixels")
        for split in evidence.splits
        for name, facts in zip(split.names, split.files, strict=True)
        if facts.problem is None and min(facts.size) < limits.smallest_side
    ]
    advice = "They are too small for the coarse levels of a detector. Are they thumbnails or crops?"
    return make_findings(
        f"images with a side below {limits.smallest_side} pixels",
        examples,
        evidence.image_counts,
        unit="images",
        advice=advice,
    )


def unlisted_images(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Note: image files in the folder that no split lists."""
    examples = [Example("", name) for name in evidence.unlisted]
    advice = "They are not used. List or annotate them if they should be."
    return make_findings(
        "image files that no split lists",
        examples,
        {},
        unit="files",
        advice=advice,
        severity="note",
    )
