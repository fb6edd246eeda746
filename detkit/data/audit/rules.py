"""All checks in one list; a new one is a function with a docstring, and a line here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from detkit.data.audit import boxes, classes, files, pairs, splits, units
from detkit.data.audit.evidence import Evidence
from detkit.data.audit.findings import SEVERITIES, Finding, Limits

Check = Callable[[Evidence, Limits], list[Finding]]

# The docstring of each says what it finds and when that is an error.
CHECKS: tuple[Check, ...] = (
    files.refused_splits,
    files.unreadable_images,
    files.size_mismatches,
    files.lost_annotations,
    files.changed_things,
    pairs.annotations_without_image,
    pairs.images_without_annotation,
    pairs.unequal_names,
    units.misread_boxes,
    units.cornered_boxes,
    pairs.foreign_paths,
    boxes.lost_boxes,
    boxes.cut_boxes,
    boxes.doubled_boxes,
    splits.shared_images,
    splits.copies_within,
    classes.differing_classes,
    classes.missing_classes,
    classes.alike_classes,
    classes.unused_classes,
    classes.id_gaps,
    splits.empty_splits,
    splits.empty_images,
    splits.ignored_objects,
    splits.crowded_images,
    splits.without_training,
    splits.held_back,
    files.unused_values,
    files.shared_ids,
    files.turned_images,
    files.unusual_images,
    files.blank_images,
    files.tiny_images,
    files.unlisted_images,
    boxes.tiny_boxes,
    boxes.long_boxes,
    boxes.covering_boxes,
)
# Meaningless if the reader misreads the units of boxes.
OF_PIXELS: tuple[Check, ...] = (
    boxes.lost_boxes,
    boxes.cut_boxes,
    boxes.doubled_boxes,
    boxes.tiny_boxes,
    boxes.long_boxes,
    boxes.covering_boxes,
)


def audit(evidence: Evidence, limits: Limits | None = None) -> list[Finding]:
    """What all checks find, errors first."""
    limits = limits or Limits()
    skipped = OF_PIXELS if units.are_misread(evidence) else ()
    checks = [check for check in CHECKS if check not in skipped]
    findings = [finding for check in checks for finding in check(evidence, limits)]
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def is_hurt(findings: Sequence[Finding]) -> bool:
    """Whether training would be hurt."""
    return any(finding.severity == "error" for finding in findings)
