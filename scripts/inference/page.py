"""Write docs/inference.md: video, tiles, ensembles and intervals, measured beside their peers.

    python scripts/inference/page.py                    the page, from the stored rows
    python scripts/inference/page.py --measure video    measure a section, store its rows, render
    python scripts/inference/page.py --measure video tiling --set video.frames=60

scripts/inference/results.json keeps the rows, one key per section. A section is the module of its
name in this folder: `measure(options) -> rows` returns what JSON can store, and
`table(rows) -> str` renders it. `--set SECTION.KEY=VALUE` passes options to `measure`, as strings.
"""

from __future__ import annotations

import argparse
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
RESULTS = HERE / "results.json"
PAGE = ROOT / "docs" / "inference.md"
SECTIONS = ("video", "tiling", "ensembles", "intervals")
NOT_MEASURED = "Not measured yet."


def stored_results() -> dict[str, Any]:
    results: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return results


def store(section: str, rows: Any) -> None:
    """Replace the rows of one section; another script may have stored others meanwhile."""
    text = json.dumps({**stored_results(), section: rows}, indent=1, sort_keys=True)
    RESULTS.write_text(text + "\n", encoding="utf-8")


def options_of(section: str, settings: list[str]) -> dict[str, str]:
    """The options of one section among `SECTION.KEY=VALUE` words."""
    words = [
        word.removeprefix(f"{section}.") for word in settings if word.startswith(f"{section}.")
    ]
    return dict(word.split("=", 1) for word in words)


def render(results: dict[str, Any]) -> str:
    """The template with the table of each section; modules of sections without rows stay out."""
    text = (HERE / "page.md").read_text(encoding="utf-8")
    for section in SECTIONS:
        rows = results.get(section)
        table = import_module(section).table(rows) if rows else NOT_MEASURED
        text = text.replace(f"<<{section}>>", table.strip())
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", nargs="+", choices=SECTIONS, default=[])
    parser.add_argument(
        "--set", nargs="+", metavar="SECTION.KEY=VALUE", default=[], dest="settings"
    )
    arguments = parser.parse_args()
    for section in arguments.measure:
        store(section, import_module(section).measure(options_of(section, arguments.settings)))
    PAGE.write_text(render(stored_results()), encoding="utf-8")
    print(f"written: {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
