"""Checks of files: images and annotations that are unusable or that detkit changes."""

from __future__ import annotations

from collections import defaultdict

from detkit.data.audit.evidence import Evidence
from detkit.data.audit.findings import Example, Finding, Limits, Severity, make_findings
from detkit.data.pairing import BY_ENDING
from detkit.data.readers.coco_reader import SHARED_ID
from detkit.data.splits import role_of
from detkit.text import plural

UNREADABLE_SPLITS = "splits that cannot be read"
_SIZE_DIFFERS = "size differs"  # the start of that reason
_TITLES = {
    "missing file": (
        "images whose file is missing",
        "Restore the files, or remove them from the list.",
    ),
    "not an image": (
        "files that are not images",
        "Open one in a text editor: it may be the error page of a download, or another kind of "
        "file with the name of an image. Download it again, or delete it with its annotation.",
    ),
}
_REPLACE = "Download or export these files again, or delete them with their annotations."

_ON_CHANGES = (
    "detkit uses them as the heading states. Check the pictures to see whether this is right."
)
_ON_SHAPES = "They are not used. Draw boxes or polygons around these objects if they should be."


def refused_splits(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Error: the training or validation split cannot be read; warning: another split cannot."""
    examples = [Example(name, "", reason) for name, reason in evidence.refused.items()]
    totals = dict.fromkeys([*evidence.image_counts, *evidence.refused], 1)
    advice = "Fix the problem in the message; a run with this split stops immediately."
    needed = any(role_of(name) != "test" for name in evidence.refused)
    return make_findings(
        UNREADABLE_SPLITS,
        examples,
        totals,
        unit="splits",
        advice=advice,
        severity="error" if needed else "warning",
    )


def _severity(evidence: Evidence, limits: Limits) -> Severity:
    """Error if more than `most_lost` of a split's images are dropped, for any reason.

    In a split with fewer boxes than images, the limit is a share of the number of boxes.
    """
    for split in evidence.splits:
        broken = sum(facts.problem is not None for facts in split.files)
        lost = sum(fault.left_out and fault.what != "box" for fault in split.index.faults)
        whole = min(split.image_count, split.box_count or split.image_count)
        if broken + lost > limits.most_lost * whole:
            return "error"
    return "warning"


def unreadable_images(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Warning: images that cannot be read; error: more than `most_lost` of a split."""
    by_reason: dict[str, list[Example]] = defaultdict(list)
    for split in evidence.splits:
        for fault in split.faults("image"):
            if fault.left_out and not fault.why.startswith(_SIZE_DIFFERS):
                by_reason[fault.why].append(Example(split.name, fault.name, fault.detail))
        for name, facts in zip(split.names, split.files, strict=True):
            if facts.problem is not None:
                example = Example(split.name, name, facts.problem)
                by_reason["cannot be decoded"].append(example)
    findings = []
    for reason, examples in by_reason.items():
        title, advice = _TITLES.get(reason, (f"images dropped ({reason})", _REPLACE))
        if reason == "cannot be decoded":
            title = "broken or truncated images"
        findings += make_findings(
            title,
            examples,
            evidence.image_counts,
            unit="images",
            advice=advice,
            severity=_severity(evidence, limits),
        )
    return findings


def size_mismatches(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Warning: sizes in file and annotation differ; error: more than `most_lost` of a split."""
    examples = [
        Example(split.name, fault.name, fault.detail)
        for split in evidence.splits
        for fault in split.faults("image")
        if fault.why.startswith(_SIZE_DIFFERS)
    ]
    advice = (
        "The boxes belong to another version of the image: resized, cropped, or without its EXIF "
        "rotation (height and width swapped). Use the images that were annotated, or scale the "
        "boxes. These images are not used."
    )
    return make_findings(
        "images whose size differs from the annotated one",
        examples,
        evidence.image_counts,
        unit="images",
        advice=advice,
        severity=_severity(evidence, limits),
    )


def lost_annotations(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Warning: annotation files that are dropped; error: more than `most_lost` of a split."""
    by_kind: dict[str, list[Example]] = defaultdict(list)
    for split in evidence.splits:
        for fault in split.index.faults:
            if fault.what not in ("image", "box") and fault.left_out:
                kind = f"{plural(fault.what)} dropped ({fault.why})"
                by_kind[kind].append(Example(split.name, fault.name, fault.detail))
    advice = "Repair or replace these files: training does not use their annotations."
    return [
        finding
        for kind, examples in by_kind.items()
        for finding in make_findings(
            kind,
            examples,
            evidence.image_counts,
            unit="files",
            advice=advice,
            severity=_severity(evidence, limits),
        )
    ]


def shared_ids(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Note: several annotations with the same id (COCO)."""
    examples = [
        Example(split.name, fault.name, fault.detail)
        for split in evidence.splits
        for fault in split.index.faults
        if fault.why == SHARED_ID
    ]
    return make_findings(
        f"annotations ({SHARED_ID})",
        examples,
        {},
        unit="ids",
        advice="detkit uses all of these boxes. Tools that look annotations up by id, such as "
        "pycocotools, confuse them: renumber the annotations.",
        severity="note",
    )


def changed_things(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Warning: content that the reader uses with a change."""
    by_kind: dict[str, list[Example]] = defaultdict(list)
    for split in evidence.splits:
        for fault in split.index.faults:
            if (
                fault.what not in ("box", "mask")
                and not fault.left_out
                and fault.why not in (SHARED_ID, BY_ENDING)
            ):
                by_kind[f"{plural(fault.what)} ({fault.why})"].append(
                    Example(split.name, fault.name, fault.detail)
                )
    findings = []
    for kind, examples in by_kind.items():
        advice = _ON_SHAPES if kind.startswith("shapes") else _ON_CHANGES
        findings += make_findings(
            kind, examples, evidence.image_counts, unit="images", advice=advice
        )
    return findings


def unused_values(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Note: annotated values other than boxes and classes."""
    examples = [
        Example(split.name, "", f"{name} ({count:,})")
        for split in evidence.splits
        for name, count in split.index.unused.items()
    ]
    return make_findings(
        "kinds of values that are not used",
        examples,
        {},
        unit="kinds",
        advice="Detection uses boxes, classes and the flags crowd and difficult; no action needed.",
        severity="note",
    )
