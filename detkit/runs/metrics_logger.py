"""Log the numbers of a run to one CSV file."""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from detkit.files import replacing
from detkit.runs.layout import RunFolder
from detkit.runs.metrics_rows import SECONDS, SPEED, read_metrics

FIRST_COLUMNS = ["step", "epoch", SECONDS, SPEED]


class MetricsFile(Logger):
    """Writes `metrics.csv` in the run folder: a row per logged step and per validation.

    `step` counts optimizer steps from 0, `epoch` from 1. `seconds` is the time since the training
    started, including the earlier starts of a resumed run; `images/s` is the training speed since
    the last row. The order of columns never changes; a new name becomes the last column. A cell is
    empty if its row has no such number.
    """

    def __init__(self, *, run_folder: str) -> None:
        super().__init__()
        self.path = RunFolder(run_folder).metrics_log
        self._columns = _header(self.path)
        self._seconds_before = 0.0
        self._started = self._row_time = time.monotonic()
        self._images = 0

    @property
    def name(self) -> str:
        """The name that Lightning displays."""
        return "metrics"

    @property
    def version(self) -> str:
        """An empty string, since a run has only one such file."""
        return ""

    @rank_zero_only
    def start_at(self, step: int) -> None:
        """Drop the rows from this step on, which the resumed run writes again."""
        rows = [row for row in _rows(self.path) if int(row["step"]) < step]
        self._columns = _with_times(rows[0]) if rows else []
        if self.path.is_file():
            self._write(rows)
        times = [float(row[SECONDS]) for row in rows if row.get(SECONDS)]
        self._seconds_before = times[-1] if times else 0.0
        self._started = self._row_time = time.monotonic()
        self._images = 0

    def count_images(self, count: int) -> None:
        """Add to the number of images trained on."""
        self._images += count

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add a row."""
        row: dict[str, Any] = {"step": step, **metrics, **self._times(metrics)}
        if "epoch" in row:
            row["epoch"] = int(row["epoch"]) + 1
        new = [name for name in row if name not in self._columns]
        if new:
            rows = _rows(self.path)
            self._columns = [*self._columns, *sorted(new, key=_first_columns_first)]
            self._write(rows)
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self._columns, restval="").writerow(row)

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Do nothing, since the run folder contains the whole configuration."""

    def _times(self, metrics: Mapping[str, float]) -> dict[str, str]:
        """The time cells of a row; the row of a validation has no training speed."""
        now = time.monotonic()
        times = {SECONDS: f"{self._seconds_before + now - self._started:.2f}"}
        if self._images and not any(name.startswith("val/") for name in metrics):
            times[SPEED] = f"{self._images / max(now - self._row_time, 1e-9):.2f}"
        self._row_time, self._images = now, 0
        return times

    def _write(self, rows: list[dict[str, str]]) -> None:
        """Replace the file atomically, so that a kill leaves the old or the new one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path) as part, part.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self._columns, restval="")
            if self._columns:
                writer.writeheader()
            writer.writerows(rows)


def _header(path: Path) -> list[str]:
    rows = _rows(path)
    return _with_times(rows[0]) if rows else []


def _rows(path: Path) -> list[dict[str, str]]:
    return read_metrics(path, with_times=True)


def _with_times(row: Mapping[str, str]) -> list[str]:
    """The columns of a row plus the time columns, which mark a file whose epochs count from 1."""
    return [*row, *(name for name in (SECONDS, SPEED) if name not in row)]


def _first_columns_first(name: str) -> int:
    return FIRST_COLUMNS.index(name) if name in FIRST_COLUMNS else len(FIRST_COLUMNS)
