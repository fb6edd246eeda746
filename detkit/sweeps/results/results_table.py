"""The jobs of a sweep as a table: filtered and sorted, as text for a terminal and as CSV."""

from __future__ import annotations

import csv
import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from detkit.errors import UserError, did_you_mean
from detkit.sweeps.results.job_results import Result
from detkit.text import LONGEST_CELL, align_columns, brief_value

_STATE, _EPOCH, _MINUTES, _JOB = "state", "epoch", "minutes", "job"
_PROGRESS, _MARK = "progress", "vs best"
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_CONDITION = re.compile(r"([^=<>!]+)(<=|>=|!=|=|<|>)(.*)", re.DOTALL)
Value = str | float | None


@dataclass(frozen=True)
class Table:
    """Jobs and their columns.

    Attributes:
        results: The jobs, in the order of the table.
        metric: The number that jobs are compared by.
        keys: The swept keys that vary over the whole sweep.
        numbers: Names of the numbers that are shown, the metric first.
        conditions: What the jobs meet that are here.
        marks: For jobs by name, whether the difference to the best job exceeds chance.
    """

    results: list[Result]
    metric: str
    keys: list[str]
    numbers: list[str]
    conditions: list[str]
    marks: Mapping[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """Names of all columns, for `sort` and `where`."""
        running = [_PROGRESS] if any(result.progress for result in self.results) else []
        marks = [_MARK] if self.marks else []
        return [*self.keys, *self.numbers, _EPOCH, _MINUTES, _STATE, *running, *marks]

    def value(self, result: Result, column: str) -> Value:
        """The value of a job in a column; None if there is none yet."""
        if column in self.keys:
            return result.values[column]
        plain: dict[str, Value] = {
            _EPOCH: result.epoch,
            _MINUTES: result.minutes or None,
            _STATE: result.state,
            _PROGRESS: result.progress or None,
            _MARK: self.marks.get(result.name),
        }
        return plain[column] if column in plain else result.numbers.get(column)


def make_table(
    results: Sequence[Result],
    metric: str = "AP",
    sort: str | None = None,
    where: Sequence[str] = (),
) -> Table:
    """Filter and sort the jobs of a sweep.

    Args:
        results: All of them.
        metric: The number that jobs are compared by, as in metrics.json.
        sort: The column to order by, numbers that measure something highest first, all else lowest
            first; with `-` before it the other way round. None takes the metric.
        where: Conditions that a job has to meet, such as `model=fcos`, `seed!=1` or `AP>0.5`.

    Raises:
        UserError: There is no such number or column, or a condition cannot be read.
    """
    names = dict.fromkeys(name for result in results for name in result.numbers)
    if names and metric not in names:
        whole = [name for name in names if "/" not in name]
        raise UserError(
            f"metric={metric}: no job has such a number.{did_you_mean(metric, names)} "
            f"Numbers: {', '.join(whole)}, and numbers of single classes, such as AP/NAME."
        )
    keys = list(dict.fromkeys(key for result in results for key in result.values))
    varying = [key for key in keys if len({result.values[key] for result in results}) > 1]
    numbers = list(dict.fromkeys([metric, "AP", "AP50"]))
    table = Table(list(results), metric, varying, numbers, list(where))
    for condition in where:
        meets = _condition(table, condition)
        table.results[:] = filter(meets, table.results)
    _order(table, sort or metric)
    return table


def _condition(table: Table, text: str) -> Callable[[Result], bool]:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise UserError(
            f"where={text}: cannot be read: write COLUMN=VALUE, or != < <= > >= between them."
        )
    column, sign, operand = (part.strip() for part in match.groups())
    _require_column(table, column, "where")
    if sign in _COMPARISONS and _number(operand) is None:
        raise UserError(f"where={text}: '{sign}' compares with a number, got '{operand}'.")

    def meets(result: Result) -> bool:
        value = table.value(result, column)
        if sign in _COMPARISONS:
            number, limit = _number(value), _number(operand)
            return number is not None and limit is not None and _COMPARISONS[sign](number, limit)
        return _same(value, operand) == (sign == "=")

    return meets


def _same(value: Value, operand: str) -> bool:
    """Whether a value equals the typed one; 0.10 equals 0.1."""
    number = _number(operand)
    return str(value) == operand or (number is not None and _number(value) == number)


def _order(table: Table, sort: str) -> None:
    column = sort.removeprefix("-")
    _require_column(table, column, "sort")
    best_first = column in table.numbers
    values = {result.name: table.value(result, column) for result in table.results}
    measured = [r for r in table.results if values[r.name] not in (None, "")]
    numeric = all(_number(values[result.name]) is not None for result in measured)

    def key(result: Result) -> tuple[float, str]:
        value = values[result.name]
        return (_number(value) or 0.0, "") if numeric else (0.0, str(value))

    measured.sort(key=key, reverse=best_first != sort.startswith("-"))
    names = {result.name for result in measured}
    table.results[:] = [*measured, *(r for r in table.results if r.name not in names)]


def _require_column(table: Table, column: str, word: str) -> None:
    if column not in table.columns:
        raise UserError(
            f"{word}={column}: there is no such column.{did_you_mean(column, table.columns)} "
            f"Columns: {', '.join(table.columns)}."
        )


def _number(value: Value) -> float | None:
    try:
        number = math.nan if value is None else float(value)
    except ValueError:
        return None
    return None if math.isnan(number) else number


def table_lines(table: Table) -> list[str]:
    """The table for a terminal, followed by a line for each failed job."""
    heads = table.columns if table.keys else [_JOB, *table.columns]
    rows = [cells(table, result) for result in table.results]
    if not table.keys:
        rows = [[r.name, *row] for r, row in zip(table.results, rows, strict=True)]
    first = heads.index(table.metric)
    lines = align_columns([heads, *rows], range(first, heads.index(_STATE)), longest=LONGEST_CELL)
    wrong = [r for r in table.results if r.error]
    return [*lines, *([""] if wrong else []), *(f"{r.name}: {r.error}" for r in wrong)]


def cells(table: Table, result: Result) -> list[str]:
    """The cells of a job as text."""
    return [cell(column, table.value(result, column)) for column in table.columns]


def cell(column: str, value: Value) -> str:
    """A value as text; empty if there is none."""
    if column == _MINUTES and isinstance(value, float):
        return f"{value:.1f}"
    if isinstance(value, float):
        return f"{value:.4f}"
    return "" if value is None else brief_value(str(value))


def write_csv(table: Table, file: Path) -> None:
    """Write the table with all digits, and each job's folder and error."""
    with file.open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow([_JOB, *table.columns, "error"])
        for result in table.results:
            values = (table.value(result, column) for column in table.columns)
            row = ["" if value is None else value for value in values]
            writer.writerow([result.name, *row, result.error or ""])
