"""Checks of the classes: names, ids, and their objects in each split."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import numpy as np

from detkit.data.audit.evidence import Evidence
from detkit.data.audit.findings import Example, Finding, Limits, Severity, make_findings
from detkit.text import listed


def class_totals(evidence: Evidence) -> dict[str, int]:
    """Objects of each class over all splits, by name."""
    totals: dict[str, int] = defaultdict(int)
    for split in evidence.splits:
        for name, count in zip(split.index.class_names, split.class_counts.tolist(), strict=True):
            totals[name] += count
    return dict(totals)


def alike_classes(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Error: names of two classes with objects differ only in case or spaces; else a warning."""
    totals = class_totals(evidence)
    groups: dict[str, list[str]] = defaultdict(list)
    for name in totals:
        groups["".join(c for c in name.casefold() if c not in " _-")].append(name)
    alike = [names for names in groups.values() if len(names) > 1]
    examples = [
        Example("", "", listed(f"'{name}' (objects: {totals[name]:,})" for name in names))
        for names in alike
    ]
    both_used = any(sum(totals[name] > 0 for name in names) > 1 for names in alike)
    return make_findings(
        "classes whose names differ only in case or spaces",
        examples,
        {},
        unit="classes",
        advice="Give them one name: otherwise one class is trained as two.",
        severity="error" if both_used else "warning",
    )


def unused_classes(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Warning: classes without an object in any split."""
    totals = class_totals(evidence)
    unused = [name for name, count in totals.items() if count == 0]
    examples = [Example("", "", f"'{name}'") for name in unused]
    return make_findings(
        "classes without any object",
        examples,
        {"": len(totals)},
        unit="classes",
        advice="The detector predicts them but cannot learn them. Remove them from the list of "
        "classes, or add objects.",
    )


def missing_classes(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Error: a class of another split without training objects; otherwise a warning."""
    totals = class_totals(evidence)
    findings = []
    for split in evidence.splits:
        counts = dict(zip(split.index.class_names, split.class_counts.tolist(), strict=True))
        missing = [name for name, count in totals.items() if count and not counts.get(name)]
        if len(split.index.labels) == 0:
            continue  # another check reports it
        is_train = split is evidence.train
        severity: Severity = "error" if is_train else "warning"
        findings += make_findings(
            f"classes without objects in '{split.name}'",
            [Example(split.name, "", f"'{name}' ({totals[name]:,} elsewhere)") for name in missing],
            {split.name: len(totals)},
            unit="classes",
            advice="The detector cannot learn them: move images of these classes into it."
            if is_train
            else "They cannot be evaluated there: move images of these classes into it.",
            severity=severity,
        )
    return findings


def differing_classes(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Error: a split has objects of a class that the training split does not name.

    Warning: the lists differ, but no object has such a class. Note: the same classes in another
    order.
    """
    first = evidence.train or (evidence.splits[0] if evidence.splits else None)
    if first is None:
        return []
    names = first.index.class_names
    differing, reordered = [], []
    severity: Severity = "warning"
    for split in evidence.splits:
        own_names = split.index.class_names
        extra = [f"'{name}'" for name in own_names if name not in names]
        lacking = [f"'{name}'" for name in names if name not in own_names]
        counts = zip(own_names, split.class_counts.tolist(), strict=True)
        if any(count and name not in names for name, count in counts):
            severity = "error"
        if extra or lacking:
            parts = [f"has {', '.join(extra)}"] if extra else []
            parts += [f"lacks {', '.join(lacking)}"] if lacking else []
            detail = f"{listed(parts)} (compared with '{first.name}')"
            differing.append(Example(split.name, "", detail))
        elif own_names != names:
            reordered.append(Example(split.name, "", ", ".join(own_names)))
    return [
        *make_findings(
            "splits with different classes",
            differing,
            {},
            unit="splits",
            advice="Give all splits the same list of classes.",
            severity=severity,
        ),
        *make_findings(
            "splits with the same classes in another order",
            reordered,
            {},
            unit="splits",
            advice="detkit goes by name, so nothing has to be done; other tools go by number.",
            severity="note",
        ),
    ]


def id_gaps(evidence: Evidence, limits: Limits) -> list[Finding]:
    """Note: category ids other than 1, 2, 3, ... without a gap."""
    examples = []
    for split in evidence.splits:
        ids = np.array(sorted(split.index.category_ids))
        gaps = [
            f"{low + 1}" if high - low == 2 else f"{low + 1}-{high - 1}"  # noqa: PLR2004
            for low, high in pairwise(ids.tolist())
            if high - low > 1
        ]
        start = f"ids start at {ids[0]}" if len(ids) and ids[0] > 1 else ""
        missing = f"not used: {', '.join(gaps)}" if gaps else ""
        if start or missing:
            detail = "; ".join(part for part in (start, missing) if part)
            examples.append(Example(split.name, "", detail))
    return make_findings(
        "category ids with gaps",
        examples,
        {},
        unit="splits",
        advice="detkit numbers classes by itself and writes these ids into results; nothing has to "
        "be done here.",
        severity="note",
    )
