"""Read the rows of `metrics.csv` without importing Lightning, which takes seconds."""

from __future__ import annotations

import csv
from pathlib import Path

SECONDS, SPEED = "seconds", "images/s"
TIMES = (SECONDS, SPEED)  # columns that differ between otherwise equal runs


def read_metrics(path: Path, with_times: bool = False) -> list[dict[str, str]]:
    """Read a metrics file; skip the last line if a kill left it incomplete.

    Epochs count from 1. Files of earlier versions have no column `seconds` and epochs that count
    from 0, to which 1 is added.

    Args:
        path: The file.
        with_times: Whether to include the time columns.
    """
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    complete = text[: text.rfind("\n") + 1]
    reader = csv.DictReader(complete.splitlines())
    from_zero = SECONDS not in (reader.fieldnames or ())
    rows = []
    for row in reader:
        epoch = row.get("epoch") or ""
        if from_zero and epoch.isdigit():
            row["epoch"] = str(int(epoch) + 1)
        rows.append({name: cell for name, cell in row.items() if with_times or name not in TIMES})
    return rows
