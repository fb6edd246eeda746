"""All checks in one list; a new one is a function with a docstring, and a line here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from detkit.data.audit import (
    box_checks,
    box_size_checks,
    class_checks,
    file_checks,
    image_checks,
    mask_checks,
    pairing_checks,
    split_checks,
    unit_checks,
)
from detkit.data.audit.evidence import Evidence
from detkit.data.audit.findings import SEVERITIES, Finding, Limits

Check = Callable[[Evidence, Limits], list[Finding]]

# The docstring of each check defines its severities.
CHECKS: tuple[Check, ...] = (
    file_checks.refused_splits,
    file_checks.unreadable_images,
    file_checks.size_mismatches,
    file_checks.lost_annotations,
    file_checks.changed_things,
    pairing_checks.annotations_without_image,
    pairing_checks.images_without_annotation,
    pairing_checks.unequal_names,
    unit_checks.misread_boxes,
    unit_checks.cornered_boxes,
    pairing_checks.foreign_paths,
    box_checks.lost_boxes,
    box_checks.cut_boxes,
    box_checks.doubled_boxes,
    mask_checks.faulty_masks,
    mask_checks.missing_masks,
    split_checks.shared_images,
    split_checks.copies_within,
    class_checks.differing_classes,
    class_checks.missing_classes,
    class_checks.alike_classes,
    class_checks.unused_classes,
    class_checks.id_gaps,
    split_checks.empty_splits,
    split_checks.empty_images,
    split_checks.ignored_objects,
    split_checks.crowded_images,
    split_checks.without_training,
    split_checks.held_back,
    file_checks.unused_values,
    file_checks.shared_ids,
    image_checks.turned_images,
    image_checks.unusual_images,
    image_checks.blank_images,
    image_checks.tiny_images,
    image_checks.unlisted_images,
    box_size_checks.tiny_boxes,
    box_size_checks.long_boxes,
    box_size_checks.covering_boxes,
)
# These checks mean nothing if the boxes have other units than the reader expects.
OF_PIXELS: tuple[Check, ...] = (
    box_checks.lost_boxes,
    box_checks.cut_boxes,
    box_checks.doubled_boxes,
    box_size_checks.tiny_boxes,
    box_size_checks.long_boxes,
    box_size_checks.covering_boxes,
)


def audit(evidence: Evidence, limits: Limits | None = None) -> list[Finding]:
    """The findings of all checks, errors first."""
    limits = limits or Limits()
    skipped = OF_PIXELS if unit_checks.are_misread(evidence) else ()
    checks = [check for check in CHECKS if check not in skipped]
    findings = [finding for check in checks for finding in check(evidence, limits)]
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def training_would_suffer(findings: Sequence[Finding]) -> bool:
    """Whether training on this data would suffer: there is an error."""
    return any(finding.severity == "error" for finding in findings)
