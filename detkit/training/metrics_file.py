"""The numbers of a run in one CSV file."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from detkit.training.metrics_rows import read_metrics

FIRST_COLUMNS = ["step", "epoch"]


class MetricsFile(Logger):
    """Writes `metrics.csv` in the run folder: a row per logged step and per validation.

    `step` counts optimizer steps from 0. A column keeps its place once it is there; a new name
    becomes the last column. A cell is empty where a row has no such number.
    """

    def __init__(self, *, run_folder: str) -> None:
        super().__init__()
        self.path = Path(run_folder) / "metrics.csv"
        self._columns = _header(self.path)

    @property
    def name(self) -> str:
        """The name that Lightning shows."""
        return "metrics"

    @property
    def version(self) -> str:
        """Nothing: there is one file a run."""
        return ""

    @rank_zero_only
    def start_at(self, step: int) -> None:
        """Keep the rows of the steps before this one; the others will be written again."""
        rows = [row for row in read_metrics(self.path) if int(row["step"]) < step]
        self._columns = list(rows[0]) if rows else []
        if self.path.is_file():
            self._write(rows)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add a row."""
        row = {"step": step, **metrics}
        new = [name for name in row if name not in self._columns]
        if new:
            rows = read_metrics(self.path)
            self._columns = [*self._columns, *sorted(new, key=_first_columns_first)]
            self._write(rows)
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self._columns, restval="").writerow(row)

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Nothing: the run folder holds the whole configuration."""

    def _write(self, rows: list[dict[str, str]]) -> None:
        """Replace the file in one move, so that a kill leaves the old one or the new one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".csv.part")
        with part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self._columns, restval="")
            if self._columns:
                writer.writeheader()
            writer.writerows(rows)
        os.replace(part, self.path)


def _header(path: Path) -> list[str]:
    rows = read_metrics(path)
    return list(rows[0]) if rows else []


def _first_columns_first(name: str) -> int:
    return FIRST_COLUMNS.index(name) if name in FIRST_COLUMNS else len(FIRST_COLUMNS)
