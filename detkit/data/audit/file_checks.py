"""Checks of the files: images and annotations that cannot be used, or are not what one expects."""

from __future__ import annotations

from collections import defaultdict

from detkit.data.audit.duplicates import is_flat
from detkit.data.audit.evidence import Evidence
from detkit.data.audit.findings import Example, Finding, Limits, Severity, found
from detkit.data.pairing import BY_ENDING
from detkit.data.readers.coco_reader import SHARED_ID
from detkit.data.splits import role_of
from detkit.text import plural

UNREADABLE_SPLITS = "splits that cannot be read"
_SIZE_DIFFERS = "size differs"  # how readers begin that reason
_DEEP = ("I", "F")  # modes of more than 8 bits begin so
_UPRIGHT = 1
_TITLES = {
    "missing file": (
        "images whose file is missing",
        "Restore the files, or take them off the list.",
    ),
    "not an image": (
        "files that are no images",
        "Open one in a text editor: an error page of a download, or another kind of file under the "
        "name of an image. Fetch it again or delete it with its annotation.",
    ),
}
_REPLACE = "Fetch or export these files again, or delete them with their annotations."

_ON_CHANGES = "detkit uses them as the heading says. Check in the pictures that this is right."
_ON_SHAPES = (
    "They are left out. Draw boxes or polygons around these objects if they should be used."
)


def refused_splits(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Error: the training or validation split cannot be read; warning: another split cannot."""
    examples = [Example(name, "", reason) for name, reason in evidence.refused.items()]
    totals = dict.fromkeys([*evidence.image_counts, *evidence.refused], 1)
    advice = "Fix the problem in the message; a run with this split would stop at once."
    needed = any(role_of(name) != "test" for name in evidence.refused)
    return found(
        UNREADABLE_SPLITS,
        examples,
        totals,
        unit="splits",
        advice=advice,
        severity="error" if needed else "warning",
    )


def _severity(evidence: Evidence, limits: Limits) -> Severity:
    """Error where more than `most_lost` of a split's images are left out, whatever the reasons.

    An image weighs at least as much as a box: in a split of fewer boxes than images, as many images
    as boxes are enough.
    """
    for split in evidence.splits:
        broken = sum(facts.problem is not None for facts in split.files)
        lost = sum(fault.left_out and fault.what != "box" for fault in split.index.faults)
        whole = min(split.image_count, split.box_count or split.image_count)
        if broken + lost > limits.most_lost * whole:
            return "error"
    return "warning"


def unreadable_images(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Warning: images that cannot be read; error: `most_lost` of a split is left out."""
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
        title, advice = _TITLES.get(reason, (f"images left out ({reason})", _REPLACE))
        if reason == "cannot be decoded":
            title = "broken or truncated images"
        findings += found(
            title,
            examples,
            evidence.image_counts,
            unit="images",
            advice=advice,
            severity=_severity(evidence, limits),
        )
    return findings


def size_mismatches(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Warning: sizes in file and annotation differ; error: `most_lost` of a split is left out."""
    examples = [
        Example(split.name, fault.name, fault.detail)
        for split in evidence.splits
        for fault in split.faults("image")
        if fault.why.startswith(_SIZE_DIFFERS)
    ]
    advice = (
        "The boxes are those of another version of the image: resized, cropped, or not turned as "
        "its EXIF orientation says (height and width swapped). Use the images that were annotated, "
        "or scale the boxes. These images are left out."
    )
    return found(
        "images whose size is not the annotated one",
        examples,
        evidence.image_counts,
        unit="images",
        advice=advice,
        severity=_severity(evidence, limits),
    )


def lost_annotations(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Warning: annotation files left out; error: `most_lost` of a split is left out."""
    by_kind: dict[str, list[Example]] = defaultdict(list)
    for split in evidence.splits:
        for fault in split.index.faults:
            if fault.what not in ("image", "box") and fault.left_out:
                kind = f"{plural(fault.what)} left out ({fault.why})"
                by_kind[kind].append(Example(split.name, fault.name, fault.detail))
    advice = "Repair or replace these files: what they annotate is lost to training."
    return [
        finding
        for kind, examples in by_kind.items()
        for finding in found(
            kind,
            examples,
            evidence.image_counts,
            unit="files",
            advice=advice,
            severity=_severity(evidence, limits),
        )
    ]


def shared_ids(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Note: ids of annotations that several boxes have (COCO)."""
    examples = [
        Example(split.name, fault.name, fault.detail)
        for split in evidence.splits
        for fault in split.index.faults
        if fault.why == SHARED_ID
    ]
    return found(
        f"annotations ({SHARED_ID})",
        examples,
        {},
        unit="ids",
        advice="All of these boxes are used. Tools that look annotations up by id, as pycocotools "
        "does, take one for the other: number them anew.",
        severity="note",
    )


def changed_things(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Warning: what the reader uses otherwise than the files have it."""
    by_kind: dict[str, list[Example]] = defaultdict(list)
    for split in evidence.splits:
        for fault in split.index.faults:
            if (
                fault.what != "box"
                and not fault.left_out
                and fault.why not in (SHARED_ID, BY_ENDING)
            ):
                by_kind[f"{plural(fault.what)} ({fault.why})"].append(
                    Example(split.name, fault.name, fault.detail)
                )
    findings = []
    for kind, examples in by_kind.items():
        advice = _ON_SHAPES if kind.startswith("shapes") else _ON_CHANGES
        findings += found(kind, examples, evidence.image_counts, unit="images", advice=advice)
    return findings


def unused_values(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Note: values of the annotations that boxes and classes have no place for."""
    examples = [
        Example(split.name, "", f"{name} ({count:,})")
        for split in evidence.splits
        for name, count in split.index.unused.items()
    ]
    return found(
        "kinds of values that are not used",
        examples,
        {},
        unit="kinds",
        advice="Detection takes boxes, classes and the marks crowd and difficult; nothing has to "
        "be done.",
        severity="note",
    )


def turned_images(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Note: images with an EXIF orientation, which is applied before boxes are placed."""
    examples = [
        Example(split.name, name, f"EXIF orientation {facts.orientation}")
        for split in evidence.splits
        for name, facts in zip(split.names, split.files, strict=True)
        if facts.orientation != _UPRIGHT
    ]
    advice = (
        "detkit turns them as EXIF says. Look at the pictures: if boxes lie beside their objects, "
        "they were drawn on the unturned image; save the images without EXIF orientation then."
    )
    return found(
        "images with EXIF orientation",
        examples,
        evidence.image_counts,
        unit="images",
        advice=advice,
        severity="note",
    )


def unusual_images(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Note: palette and CMYK images, and those of more than 8 bits."""
    by_kind: dict[str, list[Example]] = defaultdict(list)
    for split in evidence.splits:
        for name, facts in zip(split.names, split.files, strict=True):
            example = Example(split.name, name, f"{facts.kind} {facts.mode}")
            if facts.mode.startswith(_DEEP):
                by_kind["images of more than 8 bits"].append(example)
            elif facts.mode in ("P", "CMYK"):
                by_kind[f"{'palette' if facts.mode == 'P' else 'CMYK'} images"].append(example)
    advice = {
        "images of more than 8 bits": "Each is stretched from its own darkest to its own brightest "
        "value; convert them to 8 bits yourself if brightness must mean the same in all.",
    }
    return [
        finding
        for kind, examples in by_kind.items()
        for finding in found(
            kind,
            examples,
            evidence.image_counts,
            unit="images",
            severity="note",
            advice=advice.get(kind, "They are converted to RGB; nothing has to be done."),
        )
    ]


def blank_images(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Warning: images of a single brightness; error: more than `most_lost` of a split."""
    examples = [
        Example(split.name, name, "all of one brightness")
        for split in evidence.splits
        for name, facts in zip(split.names, split.files, strict=True)
        if is_flat(facts)
    ]
    advice = "Delete them, unless empty pictures are what the detector will see."
    return found(
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
    advice = "Too small for the coarse levels of a detector; thumbnails or cut-outs by mistake?"
    return found(
        f"images with a side below {limits.smallest_side} pixels",
        examples,
        evidence.image_counts,
        unit="images",
        advice=advice,
    )


def unlisted_images(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Note: image files in the folder that no split lists."""
    examples = [Example("", name) for name in evidence.unlisted]
    advice = "They are not used. If they should be, list or annotate them."
    return found(
        "image files that no split lists",
        examples,
        {},
        unit="files",
        advice=advice,
        severity="note",
    )
