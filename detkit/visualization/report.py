"""One page that shows a run: numbers, curves, pictures, configuration, environment."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from detkit.files import write_atomically
from detkit.runs.layout import RunFolder
from detkit.visualization.analysis_pictures import READING
from detkit.visualization.html import render, three_decimals
from detkit.visualization.panels import OVERVIEW

_IMAGE_TYPES = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png"}
_HEADLINE = ("AP", "AP50", "AP75", "mask_AP", "mask_AP50")
_CLASS_METRICS = ("AP", "AP50", "mask_AP", "mask_AP50")


class _Tile(NamedTuple):
    name: str
    value: float
    meaning: str


class _Picture(NamedTuple):
    source: str  # a data URL
    description: str


class _ClassValue(NamedTuple):
    text: str
    percentage: str  # width of its bar


class _ClassTable(NamedTuple):
    metrics: list[str]
    rows: list[tuple[str, list[_ClassValue]]]


def write_report(
    run_folder: Path,
    *,
    title: str,
    numbers: Mapping[str, float],
    class_names: Sequence[str],
    meanings: Mapping[str, str] | None = None,
) -> Path:
    """Write `report.html` from the files of a run folder; a missing file leaves its section out.

    The page needs no other file: it contains its pictures.

    Args:
        run_folder: May hold `curves.png`, `analysis/`, `pictures/`, `config.yaml`,
            `environment.json`.
        title: Heading of the page.
        numbers: Metrics by flat name, as a metric's `compute` returns them.
        class_names: The C names, in label order.
        meanings: Short descriptions of the metrics over all classes.

    Returns:
        The page.
    """
    meanings = meanings or {}
    files = RunFolder(run_folder)
    text = render(
        "report.html.j2",
        title=title,
        tiles=[_Tile(n, numbers[n], meanings.get(n, "")) for n in _HEADLINE if n in numbers],
        curves=_picture(files.curves, "losses and AP over the steps"),
        analysis=list(_analysis(files.analysis)),
        pictures=_validation_pictures(files.pictures),
        classes=_class_table(numbers, class_names),
        numbers=[
            (name, three_decimals(value), meanings.get(name, ""))
            for name, value in numbers.items()
            if "/" not in name
        ],
        configuration=_text(files.config),
        environment=_environment(files.environment),
    )
    write_atomically(files.report, text)
    return files.report


def _validation_pictures(folder: Path) -> list[_Picture]:
    files = sorted(
        file
        for file in folder.glob("*")
        if file.suffix.lower() in _IMAGE_TYPES and file.stem != OVERVIEW
    )
    return [picture for file in files if (picture := _picture(file, file.stem))]


def _analysis(folder: Path) -> Iterator[tuple[str, str, _Picture]]:
    """Heading, explanation and picture of each part of the analysis."""
    for name, (heading, reading) in READING.items():
        picture = _picture(folder / f"{name}.png", heading)
        if picture is not None:
            yield heading, reading, picture


def _picture(file: Path, description: str) -> _Picture | None:
    if not file.is_file():
        return None
    content = base64.b64encode(file.read_bytes()).decode("ascii")
    return _Picture(f"data:image/{_IMAGE_TYPES[file.suffix.lower()]};base64,{content}", description)


def _class_table(numbers: Mapping[str, float], class_names: Sequence[str]) -> _ClassTable:
    metrics = [
        metric
        for metric in _CLASS_METRICS
        if any(f"{metric}/{name}" in numbers for name in class_names)
    ]
    rows = [
        (name, [_class_value(numbers.get(f"{m}/{name}", math.nan)) for m in metrics])
        for name in class_names
        if f"AP/{name}" in numbers
    ]
    return _ClassTable(metrics, rows)


def _class_value(value: float) -> _ClassValue:
    share = min(max(value, 0.0), 1.0) if math.isfinite(value) else 0.0
    return _ClassValue(three_decimals(value), f"{100 * share:.1f}%")


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""


def _environment(file: Path) -> list[tuple[str, str]]:
    """The names and values of a JSON file; nothing if it is missing or damaged."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    rows: list[tuple[str, str]] = []
    for name, value in content.items() if isinstance(content, dict) else ():
        entries = value.items() if isinstance(value, dict) else [(name, value)]
        rows += [(str(key), _plain(entry)) for key, entry in entries]
    return rows


def _plain(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
