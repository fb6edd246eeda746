"""Checks that images and annotations belong together."""

from __future__ import annotations

from dataclasses import replace

from detkit.data.audit.evidence import Evidence, Split
from detkit.data.audit.findings import Example, Finding, Limits, make_findings
from detkit.data.pairing import BY_ENDING
from detkit.text import plural


def annotations_without_image(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Warning: annotations that belong to no image.

    Error: more than `most_lost` of a split's annotations, or any if images of the same split lack
    an annotation, since the two may belong together.
    """
    examples = [
        Example(split.name, name)
        for split in evidence.splits
        for name in split.index.pairing.annotations_without_image
    ]
    hurt = any(_would_suffer(split, limits) for split in evidence.splits)
    return make_findings(
        f"{plural(_noun(evidence))} without an image",
        examples,
        {},
        unit="files",
        advice="Their objects are not used. Give each the name of its image, restore the image, or "
        "delete the file.",
        severity="error" if hurt else "warning",
    )


def _would_suffer(split: Split, limits: Limits) -> bool:
    pairing = split.index.pairing
    lone = len(pairing.annotations_without_image)
    missing = len(pairing.images_without_annotation)
    annotated = split.image_count - (missing if pairing.images_train else 0) + lone
    return bool(lone and missing) or lone > limits.most_lost * annotated


def images_without_annotation(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Note: images without an annotation; warning: more than `most_lost` of a split.

    Error: more than `most_unannotated` of a split.
    """
    examples = [
        Example(split.name, name)
        for split in evidence.splits
        for name in split.index.pairing.images_without_annotation
    ]
    images_train = any(split.index.pairing.images_train for split in evidence.splits)
    noun = _noun(evidence)
    use = (
        f"They train as background. Write an empty {noun} for images without objects; annotate the "
        "others, because every unmarked object teaches the detector to ignore it."
        if images_train
        else "They are not used. Annotate them, or remove them from the folder."
    )
    totals = {
        split.name: split.image_count
        + (0 if images_train else len(split.index.pairing.images_without_annotation))
        for split in evidence.splits
    }
    return make_findings(
        f"images without their {noun}",
        examples,
        totals,
        unit="images",
        advice=use,
        severity="note",
        warning_above=limits.most_lost,
        error_above=limits.most_unannotated,
    )


def unequal_names(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Note: annotations matched to images whose name or folder differs."""
    examples = [
        Example(split.name, "", f"{count:,} by {difference}")
        for split in evidence.splits
        for difference, count in split.index.pairing.matches.items()
    ]
    findings = make_findings(
        f"{plural(_noun(evidence))} matched to images whose names differ",
        examples,
        {},
        unit="files",
        advice="detkit uses them, as no other match is possible; rename the files to be sure.",
        severity="note",
    )
    pairings = [(split.name, split.index.pairing) for split in evidence.splits]
    counts = {name: sum(pairing.matches.values()) for name, pairing in pairings}
    present = {name: count for name, count in counts.items() if count}
    return [replace(f, count=sum(counts.values()), counts=present) for f in findings]


def foreign_paths(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Note: paths from another machine whose ending leads to a file."""
    examples = [
        Example(split.name, fault.name, fault.detail)
        for split in evidence.splits
        for fault in split.index.faults
        if fault.why == BY_ENDING
    ]
    return make_findings(
        f"files {BY_ENDING}",
        examples,
        {},
        unit="files",
        advice="detkit uses them, as each ending fits only one file; correct the paths to be sure.",
        severity="note",
    )


def _noun(evidence: Evidence) -> str:
    return next((split.index.pairing.annotation for split in evidence.splits), "annotation")
