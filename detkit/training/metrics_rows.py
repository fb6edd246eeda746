"""The rows of `metrics.csv`, for whoever reads a run; imports no Lightning, which takes seconds."""

from __future__ import annotations

import csv
from pathlib import Path


def read_metrics(path: Path) -> list[dict[str, str]]:
    """The rows of a metrics file; a last line that a kill cut off is left out."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    complete = text[: text.rfind("\n") + 1]
    return list(csv.DictReader(complete.splitlines()))
