"""The findings of an audit, as text for a terminal and as plain values for JSON."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from detkit.data.audit.evidence import Evidence
from detkit.data.audit.file_checks import UNREADABLE_SPLITS
from detkit.data.audit.findings import SEVERITIES, Example, Finding, Limits
from detkit.data.audit.rules import training_would_suffer
from detkit.text import align_columns, counted, listed

_SHOWN = 5  # examples of a finding; audit.json has all
_MOST_CLASSES = 12  # names in the heading
_LONGEST_DETAIL = 160


def as_plain(
    evidence: Evidence, findings: Sequence[Finding], limits: Limits | None = None
) -> dict[str, Any]:
    """All findings with all examples, the splits and the limits, as plain values for JSON."""
    return {
        "path": str(evidence.path.absolute()),
        "training_would_be_hurt": training_would_suffer(findings),
        "splits": {
            split.name: {"images": split.image_count, "boxes": split.box_count}
            for split in evidence.splits
        },
        "left_out_splits": evidence.unions,
        "class_names": class_names(evidence),
        "findings": [finding.as_plain() for finding in findings],
        "limits": asdict(limits or Limits()),
        "resizing": asdict(evidence.resizing),
    }


def class_names(evidence: Evidence) -> list[str]:
    """The class names of all splits, in order."""
    return list(dict.fromkeys(n for split in evidence.splits for n in split.index.class_names))


def as_text(evidence: Evidence, findings: Sequence[Finding], columns: int) -> str:
    """A heading, a table of the findings, their examples and advice, and the verdict."""
    parts = [_heading(evidence)]
    if findings:
        parts += [_table(findings), *(_details(finding, columns) for finding in findings)]
    return "\n\n".join([*parts, verdict(findings)])


def verdict(findings: Sequence[Finding]) -> str:
    """One line: how many findings of each severity, and whether training would suffer."""
    counts = Counter(finding.severity for finding in findings)
    texts = [counted(counts[severity], severity) for severity in SEVERITIES if counts[severity]]
    if training_would_suffer(findings):
        return f"{', '.join(texts)}: training on this data would suffer."
    return f"{', '.join(texts) or 'nothing found'}: training on this data would not suffer."


def _heading(evidence: Evidence) -> str:
    names = class_names(evidence)
    more = f" and {len(names) - _MOST_CLASSES} more" if len(names) > _MOST_CLASSES else ""
    lines = [
        str(evidence.path),
        f"  {counted(len(names), 'class')}: {', '.join(names[:_MOST_CLASSES])}{more}",
    ]
    rows = [
        [split.name, f"{counted(split.image_count, 'image')}, {counted(split.box_count, 'box')}"]
        for split in evidence.splits
    ]
    lines += [f"  {line}" for line in align_columns(rows)]
    lines += [
        f"  {name} is the union of {listed(parts)}, so it is not checked separately"
        for name, parts in evidence.unions.items()
    ]
    return "\n".join(lines)


def _table(findings: Sequence[Finding]) -> str:
    rows = [("severity", "what", "how many", "where")]
    for finding in findings:
        counted = f"{finding.count:,} of {finding.total:,} {finding.unit}"
        if not finding.total:
            counted = f"{finding.count:,} {_unit(finding.count, finding.unit)}"
        where = ", ".join(f"{name} {count:,}" for name, count in finding.counts.items() if name)
        rows.append((finding.severity, finding.kind, counted, where))
    return "\n".join(align_columns(rows))


def _unit(count: int, unit: str) -> str:
    if count != 1:
        return unit
    return {"classes": "class", "boxes": "box"}.get(unit, unit.removesuffix("s"))


def _details(finding: Finding, columns: int) -> str:
    lines = [f"{finding.severity}: {finding.kind}"]
    for example in finding.examples[:_SHOWN]:
        if finding.kind == UNREADABLE_SPLITS:  # the error, which ends in what to change
            lines += _wrapped(f"{example.split}: {example.detail}", columns)
        else:
            lines.append(f"  {_line(example)}")
    remaining = len(finding.examples) - _SHOWN
    if remaining > 0:
        lines.append(f"  and {remaining:,} more")
    return "\n".join([*lines, *_wrapped(f"-> {finding.advice}", columns)])


def _wrapped(text: str, columns: int) -> list[str]:
    """Indented lines of a text; paths are not broken."""
    return textwrap.wrap(
        text,
        columns,
        initial_indent="  ",
        subsequent_indent="     ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _line(example: Example) -> str:
    location = " ".join(part for part in (example.split, readable(example.name)) if part)
    if example.twin is not None:
        location += f" and {example.twin[0]} {readable(example.twin[1])}"
    detail = example.detail
    if len(detail) > _LONGEST_DETAIL:
        detail = detail[:_LONGEST_DETAIL] + "…"
    return f"{location}: {detail}" if location and detail else location or detail


def readable(name: str) -> str:
    """A file name on one line; quoted and escaped if it contains newlines and the like."""
    return name if name.isprintable() else repr(name)
