"""The page of a sweep: its jobs as a table that sorts and filters, curves, marginal effects."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from detkit.files import write_atomically
from detkit.runs.layout import REPORT, RunFolder
from detkit.sweeps.results.curve_chart import chart_note, make_chart
from detkit.sweeps.results.effects import SEED, Effects
from detkit.sweeps.results.effects_text import effect_tables, effects_notes
from detkit.sweeps.results.job_results import Result
from detkit.sweeps.results.results_table import Table, cell
from detkit.visualization.html import render

FILE = "table.html"
_COLOURS = 6  # classes c0 to c5 of sweep.css; further values share `rest`


class _Column(NamedTuple):
    name: str
    is_number: bool


class _Cell(NamedTuple):
    text: str
    value: str | None  # sorts the column if it differs from the text
    kind: str  # class of the element


class _Job(NamedTuple):
    name: str
    cells: list[_Cell]
    report: str | None  # address


class _Option(NamedTuple):
    """A column that can colour the curves."""

    column: int
    name: str
    is_default: bool


def write_page(table: Table, effects: Effects, folder: Path, command: str) -> Path:
    """Write the page into the sweep's folder; it needs no other file and no network.

    Args:
        table: The jobs, in their initial order.
        effects: Their marginal effects.
        folder: The sweep's folder, which contains the reports that the page links to.
        command: The command that started the sweep.
    """
    text = render(
        "sweep.html.j2",
        title=folder.resolve().name,
        metric=table.metric,
        tiles=_tiles(table),
        conditions=" and ".join(table.conditions),
        columns=_columns(table),
        jobs=[_job(table, result, folder) for result in table.results],
        chart=make_chart(table.results, table.metric),
        chart_note=chart_note(table.results, table.metric),
        colour_columns=_colour_columns(table),
        effect_notes=effects_notes(effects, table),
        effect_tables=list(effect_tables(effects, table.metric)) if effects.jobs else None,
        command=command,
        data={
            "colours": _COLOURS,
            "texts": {result.name: _searchable(result) for result in table.results},
        },
    )
    file = folder / FILE
    write_atomically(file, text)
    return file


def _tiles(table: Table) -> list[tuple[str, str]]:
    states = Counter(result.state for result in table.results)
    tiles = [(str(count), state) for state, count in states.most_common()]
    best = [r.numbers[table.metric] for r in table.results if table.metric in r.numbers]
    if best:
        tiles.insert(0, (f"{max(best):.4f}", f"best {table.metric}"))
    return tiles


def _columns(table: Table) -> list[_Column]:
    names = [*table.columns, *(["error"] if _has_errors(table) else []), "job"]
    return [_Column(name, _is_number(table, name)) for name in names]


def _is_number(table: Table, column: str) -> bool:
    return column in {*table.numbers, "epoch", "minutes"}


def _has_errors(table: Table) -> bool:
    return any(result.error for result in table.results)


def _job(table: Table, result: Result, folder: Path) -> _Job:
    cells = []
    for column in table.columns:
        value = table.value(result, column)
        kind = "number" if _is_number(table, column) else ""
        if column == "state":
            kind = result.state
        cells.append(_Cell(cell(column, value), "" if value is None else str(value), kind))
    if _has_errors(table):
        cells.append(_Cell(result.error or "", None, "error"))
    has_report = RunFolder(folder / result.name).report.is_file()
    return _Job(result.name, cells, f"{quote(result.name)}/{REPORT}" if has_report else None)


def _searchable(result: Result) -> str:
    """The text that the page's filter searches."""
    settings = (f"{key}={value}" for key, value in result.values.items())
    return " ".join([result.name, *settings, result.state, result.error or ""]).lower()


def _colour_columns(table: Table) -> list[_Option]:
    """The columns that can colour the curves; at first the first key with few values does."""
    values = {key: {result.values[key] for result in table.results} for key in table.keys}
    few = [key for key in table.keys if key != SEED and len(values[key]) <= _COLOURS]
    default = few[0] if few else "state"
    return [
        _Option(table.columns.index(name), name, name == default) for name in [*table.keys, "state"]
    ]
