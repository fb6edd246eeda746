"""A coverage as text: counts by part, then classes and tensors that were not copied."""

from __future__ import annotations

from collections.abc import Sequence

from detkit.text import agree, align_columns
from detkit.weights.transfer import Coverage
from detkit.weights.weight_source import WeightSource

_COLUMNS = ("matched", "by class", "reshaped", "missing")
_SHOWN = 6


def coverage_text(coverage: Coverage, source: WeightSource) -> str:
    """Summarise which tensors of a file were copied, in a few lines."""
    columns = [
        coverage.matched,
        coverage.by_class,
        [name for name, _, _ in coverage.reshaped],
        coverage.missing,
    ]
    parts = list(dict.fromkeys(name.split(".")[0] for names in columns for name in names))
    order = [p for p in ("backbone", "neck", "head") if p in parts]
    parts = order + [part for part in parts if part not in order]
    counts = {
        part: [sum(name.split(".")[0] == part for name in names) for names in columns]
        for part in parts
    }
    counts["all"] = [len(names) for names in columns]
    rows = [["", *(f"{name:>8}" for name in _COLUMNS)]]
    rows += [[part, *(str(count or "-") for count in row)] for part, row in counts.items()]
    table = [f"  {line}" for line in align_columns(rows, range(1, 1 + len(_COLUMNS)))]
    heading = f"weights: {source.path} ({source.kind})"
    notes = [f"  {note}" for note in source.notes]
    table += _untrained_backbone(*counts.get("backbone", (0, 0, 0, 0)))
    return "\n".join([heading, *table, *_classes(coverage, source), *_names(coverage), *notes])


def _untrained_backbone(matched: int, by_class: int, reshaped: int, missing: int) -> list[str]:
    total = matched + by_class + reshaped + missing
    if 2 * matched >= total:
        return []
    return [
        f"  MOST OF THE BACKBONE STARTS UNTRAINED: {matched} of its {total} tensors "
        f"{agree(matched, 'fits', 'fit')}. Choose the backbone that the weights were made for."
    ]


def _classes(coverage: Coverage, source: WeightSource) -> list[str]:
    total = len(coverage.classes) + len(coverage.new_classes)
    if source.is_backbone:
        return []
    if source.slots is None:
        return ["  classes: the file names none, so the classification layers start untrained"]
    lines = [f"  classes matched by name: {len(coverage.classes)} of {total}"]
    if coverage.new_classes:
        if coverage.classes:
            lines[0] += f" ({_some(coverage.classes)})"
        lines.append(f"  classes that start untrained: {_some(coverage.new_classes)}")
    if coverage.left_classes:
        lines.append(f"  classes of the file that are not used: {_some(coverage.left_classes)}")
    return lines


def _names(coverage: Coverage) -> list[str]:
    lines = []
    if coverage.reshaped:
        shapes = [f"{name} {_shape(a)} -> {_shape(b)}" for name, a, b in coverage.reshaped]
        lines.append(f"  reshaped, not loaded: {_some(shapes)}")
    for title, names in (("missing", coverage.missing), ("unused", coverage.unused)):
        if names:
            lines.append(f"  {title}: {_some(_modules(names))}")
    return lines


def _modules(names: Sequence[str]) -> list[str]:
    """Group tensors by module, or, if there are many, by the first names of their paths."""
    for depth in (None, 3, 2, 1):
        groups: dict[str, list[str]] = {}
        for name in names:
            path, _, last = name.rpartition(".")
            key = path if depth is None else ".".join(path.split(".")[:depth])
            groups.setdefault(key, []).append(last)
        if len(groups) <= _SHOWN or depth == 1:
            break
    if depth is None:
        return [f"{k} ({', '.join(v)})" if k else ", ".join(v) for k, v in groups.items()]
    return [f"{k or 'unnamed'} ({len(v)} tensors)" for k, v in groups.items()]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _shape(shape: Sequence[int]) -> str:
    return f"({', '.join(map(str, shape))})"
