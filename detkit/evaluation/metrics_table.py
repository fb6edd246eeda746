"""The numbers of a metric as a table for a terminal, and as a JSON file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from types import MappingProxyType
from typing import Any

from detkit.evaluation.bootstrap import Interval
from detkit.text import align_columns, text_width

_LONGEST_NAME = 32
_NAME_WIDTH = 9  # AP_medium; longer names widen the column
MASK = "mask_"  # how names of numbers of masks begin


def metrics_table(
    numbers: Mapping[str, float],
    class_names: Sequence[str],
    objects: Sequence[int] | None = None,
    *,
    meanings: Mapping[str, str] | None = None,
    intervals: Mapping[str, Interval] | None = None,
) -> str:
    """All numbers of a metric as aligned text: the summary, then each class.

    Args:
        numbers: Flat names to numbers, as a metric's `compute` gives them.
        class_names: The C names, in label order.
        objects: How many objects each class has, if known.
        meanings: What the numbers over all classes mean, in a few words, if known.
        intervals: The confidence intervals by name, if known.
    """
    intervals = intervals or {}
    parts = [summary_table(numbers, meanings or {}, intervals)]
    if any(f"AP/{name}" in numbers for name in class_names):
        parts.append(class_table(numbers, class_names, objects, intervals))
    return "\n\n".join(part for part in parts if part)


def summary_table(
    numbers: Mapping[str, float],
    meanings: Mapping[str, str],
    intervals: Mapping[str, Interval] = MappingProxyType({}),
) -> str:
    """The numbers over all classes, with recalls (AR...) in a right column. Masks come last."""
    summary = {name: value for name, value in numbers.items() if "/" not in name}
    masks = {name: value for name, value in summary.items() if name.startswith(MASK)}
    boxes = {name: value for name, value in summary.items() if name not in masks}
    return "\n\n".join(_block(block, meanings, intervals) for block in (boxes, masks) if block)


def _block(
    numbers: Mapping[str, float], meanings: Mapping[str, str], intervals: Mapping[str, Interval]
) -> str:
    recalls = {n: value for n, value in numbers.items() if n.removeprefix(MASK).startswith("AR")}
    others = {name: value for name, value in numbers.items() if name not in recalls}
    columns = [_column(values, meanings, intervals) for values in (others, recalls)]
    width = max([0, *map(len, columns[0])])
    pairs = zip_longest(*columns, fillvalue="")
    return "\n".join(f"{left:<{width}}   {right}".rstrip() for left, right in pairs)


def class_table(
    numbers: Mapping[str, float],
    class_names: Sequence[str],
    objects: Sequence[int] | None = None,
    intervals: Mapping[str, Interval] = MappingProxyType({}),
) -> str:
    """A row for each class: its objects (if known) and the AP and AP50 that were measured."""
    columns = [["class", *(_shortened(name) for name in class_names)]]
    if objects is not None:
        columns.append(["objects", *(f"{count:,}" for count in objects)])
    for kind in ("AP", "AP50", f"{MASK}AP", f"{MASK}AP50"):
        if not any(f"{kind}/{name}" in numbers for name in class_names):
            continue
        cells = [_shown(numbers.get(f"{kind}/{name}", math.nan)) for name in class_names]
        columns.append([kind, *cells])
        if f"{kind}/{class_names[0]}" in intervals:
            ranges = [_range(intervals.get(f"{kind}/{name}")) for name in class_names]
            columns.append(["95 % interval", *ranges])
    rows = list(zip(*columns, strict=True))
    lines = align_columns(rows, range(1, len(columns)), gap=3)
    rule = "─" * max(map(text_width, lines))
    return "\n".join([lines[0], rule, *lines[1:]])


def metrics_json(numbers: Mapping[str, float], analysis: Mapping[str, Any] | None = None) -> str:
    """Numbers and an analysis as JSON; NaN and infinity become null."""
    return plain_json(dict(numbers) if analysis is None else {**numbers, "analysis": analysis})


def plain_json(content: Mapping[str, Any]) -> str:
    """Plain values as JSON, a line for each key; NaN and infinity become null."""
    return _json(content, "") + "\n"


def _json(value: Any, margin: str) -> str:
    """Mappings with one line per key, lists on one line."""
    if isinstance(value, Mapping) and value:
        inner = margin + "  "
        lines = [
            f"{inner}{json.dumps(name, ensure_ascii=False)}: {_json(part, inner)}"
            for name, part in value.items()
        ]
        return "{\n" + ",\n".join(lines) + f"\n{margin}}}"
    return json.dumps(_without_nan(value), ensure_ascii=False)


def _without_nan(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_metrics(
    path: Path, numbers: Mapping[str, float], analysis: Mapping[str, Any] | None = None
) -> None:
    """Write `metrics_json` to a file."""
    path.write_text(metrics_json(numbers, analysis), encoding="utf-8")


def _column(
    numbers: Mapping[str, float], meanings: Mapping[str, str], intervals: Mapping[str, Interval]
) -> list[str]:
    width = max([_NAME_WIDTH, *map(len, numbers)])
    ranges = {name: _range(intervals.get(name)) for name in numbers}
    margin = max(map(len, ranges.values()), default=0)
    texts = {name: f"{text:<{margin}}  " if margin else "" for name, text in ranges.items()}
    return [
        f"{name:<{width}}  {_shown(value)}  {texts[name]}{meanings.get(name, '')}"
        for name, value in numbers.items()
    ]


def _range(interval: Interval | None) -> str:
    if interval is None or not math.isfinite(interval.low):
        return ""
    return f"{interval.low:.3f} to {interval.high:.3f}"


def _shown(value: float) -> str:
    return f"{value:5.3f}" if math.isfinite(value) else "    –"  # noqa: RUF001  # no number


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"
