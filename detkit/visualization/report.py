"""One page that shows a run: numbers, curves, pictures, configuration, environment."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from detkit.visualization.analysis_pictures import FOLDER, READING
from detkit.visualization.page import page, section
from detkit.visualization.panels import OVERVIEW

_KINDS = {".jpg": "jpeg", ".jpeg": "jpeg", ".png": "png"}
_HEADLINE = ("AP", "AP50", "AP75")


def write_report(
    run_folder: Path,
    *,
    title: str,
    numbers: Mapping[str, float],
    class_names: Sequence[str],
    meanings: Mapping[str, str] | None = None,
) -> Path:
    """Write `report.html` from what lies in a run folder; what is not there is left out.

    The page needs no other file: pictures are inside it.

    Args:
        run_folder: Holds `curves.png`, `analysis/`, `pictures/`, `config.yaml`,
            `environment.json`.
        title: Heading of the page.
        numbers: Flat names to numbers, as a metric's `compute` gives them.
        class_names: The C names, in label order.
        meanings: What the numbers over all classes are, in a few words.

    Returns:
        The page.
    """
    meanings = meanings or {}
    files = (p for p in run_folder.glob("pictures/*") if p.suffix.lower() in _KINDS)
    pictures = sorted(p for p in files if p.stem != OVERVIEW)
    sections = [
        _tiles(numbers, meanings),
        section("Curves", _image(run_folder / "curves.png", "losses and AP over the steps")),
        *_analysis(run_folder / FOLDER),
        section("Validation pictures: objects beside detections", _gallery(pictures)),
        section("Classes", _classes(numbers, class_names)),
        section("All numbers", _all_numbers(numbers, meanings)),
        section("Configuration", _text_file(run_folder / "config.yaml")),
        section("Environment", _environment(run_folder / "environment.json")),
    ]
    report = run_folder / "report.html"
    body = "\n".join(filter(None, sections))
    report.write_text(page(title, body, kind="detkit run"), encoding="utf-8")
    return report


def _tiles(numbers: Mapping[str, float], meanings: Mapping[str, str]) -> str:
    tiles = [
        f'<div class="tile"><b>{_shown(numbers[name])}</b><span>{name}</span>'
        f"<small>{escape(meanings.get(name, ''))}</small></div>"
        for name in _HEADLINE
        if name in numbers
    ]
    return f'<div class="tiles">{"".join(tiles)}</div>' if tiles else ""


def _classes(numbers: Mapping[str, float], class_names: Sequence[str]) -> str:
    kinds = [k for k in ("AP", "AP50") if any(f"{k}/{name}" in numbers for name in class_names)]
    rows = [
        [escape(name), *(_bar(numbers.get(f"{kind}/{name}", math.nan)) for kind in kinds)]
        for name in class_names
        if f"AP/{name}" in numbers
    ]
    return _table(["class", *kinds], rows)


def _all_numbers(numbers: Mapping[str, float], meanings: Mapping[str, str]) -> str:
    rows = [
        [escape(name), _shown(value), escape(meanings.get(name, ""))]
        for name, value in numbers.items()
        if "/" not in name
    ]
    return _table(["number", "value", "meaning"], rows)


def _analysis(folder: Path) -> list[str]:
    """A section for each picture of the analysis: how to read it, and the picture."""
    return [
        section(heading, f'<p class="reading">{escape(reading)}</p>\n{picture}')
        for name, (heading, reading) in READING.items()
        if (picture := _image(folder / f"{name}.png", heading))
    ]


def _environment(file: Path) -> str:
    """A line for each value of a JSON file; a file that is missing or broken gives nothing."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    rows = []
    for name, value in content.items() if isinstance(content, dict) else ():
        entries = value.items() if isinstance(value, dict) else [(name, value)]
        rows += [[escape(str(key)), escape(_plain(entry))] for key, entry in entries]
    return _table([], rows)


def _gallery(pictures: Iterable[Path]) -> str:
    figures = [_image(picture, picture.stem) for picture in pictures]
    return f'<div class="gallery">{"".join(figures)}</div>' if figures else ""


def _image(file: Path, description: str) -> str:
    """A picture inside the page, or nothing where there is no such file."""
    if not file.is_file():
        return ""
    content = base64.b64encode(file.read_bytes()).decode("ascii")
    source = f"data:image/{_KINDS[file.suffix.lower()]};base64,{content}"
    return f'<img src="{source}" alt="{escape(description)}" loading="lazy">'


def _text_file(file: Path) -> str:
    if not file.is_file():
        return ""
    text = escape(file.read_text(encoding="utf-8", errors="replace"))
    return f"<details><summary>{escape(file.name)}</summary><pre>{text}</pre></details>"


def _table(heads: list[str], rows: list[list[str]]) -> str:
    """Cells are HTML already."""
    if not rows:
        return ""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heads)
    lines = "\n".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    top = f"<thead><tr>{head}</tr></thead>" if heads else ""
    return f'<div class="wide"><table>{top}<tbody>\n{lines}\n</tbody></table></div>'


def _bar(value: float) -> str:
    share = min(max(value, 0.0), 1.0) if math.isfinite(value) else 0.0
    return f'<span class="bar" style="--share:{100 * share:.1f}%"></span>{_shown(value)}'


def _shown(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "–"  # noqa: RUF001  # no number


def _plain(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
