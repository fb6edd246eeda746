"""Checks of masks, which detectors with a mask head learn from."""

from __future__ import annotations

from collections import defaultdict

from detkit.data.audit.evidence import Evidence
from detkit.data.audit.findings import Example, Finding, Limits, make_findings
from detkit.data.readers import coco_masks

_NOT_USED = "Mask heads do not learn these masks; the boxes are used. "
_ADVICE = {
    coco_masks.NOT_A_MASK: (
        "masks that are neither polygons nor run-length encoding",
        _NOT_USED + "Correct the export that wrote them.",
    ),
    coco_masks.NO_PAIRS: (
        "polygons whose coordinates are not pairs of numbers",
        "These polygons are not used. Correct the export that wrote them.",
    ),
    coco_masks.FEW_POINTS: (
        "polygons with fewer than 3 points",
        "These polygons are not used. Draw them again or delete them.",
    ),
    coco_masks.OTHER_SIZE: (
        "masks of another size than their image",
        _NOT_USED + "They belong to another version of the image: use that one, or encode them "
        "again.",
    ),
    coco_masks.WRONG_RUNS: (
        "masks with damaged run-length encoding",
        _NOT_USED + "Their runs do not add up to the image: encode them again.",
    ),
    coco_masks.NO_AREA: (
        "masks without area",
        _NOT_USED + "Draw them again or delete them.",
    ),
    coco_masks.OUTSIDE: (
        "masks completely outside of their image",
        _NOT_USED + "They belong to another image, or have another unit: correct them.",
    ),
    coco_masks.DISAGREES: (
        "masks that disagree with their box",
        "Both are used. The box around a mask differs by more than 2 pixels and 10 % of the box: "
        "check the pictures, and correct the mask or the box.",
    ),
}


def faulty_masks(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Warning: masks that are not used, or do not fit their box."""
    by_reason: dict[str, list[Example]] = defaultdict(list)
    for split in evidence.splits:
        for fault in split.faults("mask"):
            by_reason[fault.why].append(Example(split.name, fault.name, fault.detail))
    findings = []
    for reason, examples in by_reason.items():
        title, advice = _ADVICE.get(reason, (f"masks ({reason})", _NOT_USED))
        findings += make_findings(
            title, examples, evidence.box_counts, unit="objects", advice=advice
        )
    return findings


def missing_masks(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Note: objects without a mask where others have one."""
    examples = []
    for split in evidence.splits:
        outlines = split.index.outlines
        with_mask = 0 if outlines is None else int(outlines.has_outline.sum())
        total = len(split.index.labels)
        if 0 < with_mask < total:
            detail = f"{total - with_mask:,} of {total:,} objects"
            examples.append(Example(split.name, "", detail))
    return make_findings(
        "splits where some objects have no mask",
        examples,
        {},
        unit="splits",
        advice="Mask heads learn from the other objects. Detectors without a mask head need none.",
        severity="note",
    )
