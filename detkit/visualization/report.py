"""A run on one page that a browser shows without a network."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

_STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, CanvasText 18%, Canvas); }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; padding: 0 1rem; }
body { max-width: 1100px; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2.2rem; }
table { border-collapse: collapse; } .tables { display: flex; flex-wrap: wrap; gap: 3rem; }
td, th { padding: .15rem .9rem; text-align: right; border-bottom: 1px solid var(--line); }
td:first-child, th:first-child { text-align: left; }
img { max-width: 100%; border-radius: 6px; }
.pictures { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(440px, 1fr)); }
.pictures img { width: 100%; }
pre { overflow-x: auto; padding: 1rem; border: 1px solid var(--line); border-radius: 6px; }
.big { font-size: 2.2rem; font-weight: 600; margin: 0; } .cards { display: flex; gap: 3rem; }
"""


def write_report(
    run_folder: Path, *, title: str, numbers: Mapping[str, float], class_names: Sequence[str]
) -> Path:
    """Write `report.html` from what lies in a run folder: curves, pictures, configuration.

    Args:
        run_folder: Holds curves.png, pictures/, config.yaml and environment.json where written.
        title: The heading.
        numbers: The metric's numbers.
        class_names: The classes, in label order.

    Returns:
        The page.
    """
    pictures = sorted((run_folder / "pictures").glob("*.png"))
    sections = [
        f"<h1>{escape(title)}</h1>",
        _cards(numbers),
        f'<div class="tables">{_summary(numbers)}{_classes(numbers, class_names)}</div>',
        _section("Curves", "".join(map(_picture, _existing(run_folder / "curves.png")))),
        _section(
            "Validation pictures: objects beside detections",
            f'<div class="pictures">{"".join(map(_picture, pictures))}</div>' if pictures else "",
        ),
        _section("Configuration", _text(run_folder / "config.yaml")),
        _section("Environment", _text(run_folder / "environment.json")),
    ]
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body>{''.join(sections)}</body></html>"
    )
    path = run_folder / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def _existing(path: Path) -> list[Path]:
    return [path] if path.is_file() else []


def _section(heading: str, body: str) -> str:
    return f"<h2>{escape(heading)}</h2>{body}" if body else ""


def _cards(numbers: Mapping[str, float]) -> str:
    cards = (
        f'<div><p class="big">{_shown(numbers[name])}</p>{name}</div>'
        for name in ("AP", "AP50", "AP75")
        if name in numbers
    )
    return f'<div class="cards">{"".join(cards)}</div>'


def _summary(numbers: Mapping[str, float]) -> str:
    rows = [(name, _shown(value)) for name, value in numbers.items() if "/" not in name]
    return _table(("number", "value"), rows)


def _classes(numbers: Mapping[str, float], class_names: Sequence[str]) -> str:
    rows = [
        (name, *(_shown(numbers.get(f"{kind}/{name}", math.nan)) for kind in ("AP", "AP50")))
        for name in class_names
    ]
    return _table(("class", "AP", "AP50"), rows)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _picture(path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    return f'<img alt="{escape(path.stem)}" src="data:image/png;base64,{data}">'


def _text(path: Path) -> str:
    if not path.is_file():
        return ""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        text = json.dumps(json.loads(text), indent=2)
    return f"<pre>{escape(text)}</pre>"


def _shown(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
