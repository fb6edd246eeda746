"""The page of a sweep: its jobs as a table that sorts and filters, curves, marginal effects."""

from __future__ import annotations

import os
from collections import Counter
from html import escape
from pathlib import Path
from urllib.parse import quote

from detkit.sweeps.curves import curves, curves_note
from detkit.sweeps.page_assets import COLOURS, SCRIPT, STYLE
from detkit.sweeps.results.effects import SEED, Effects
from detkit.sweeps.results.effects_text import effects_notes, level_cells
from detkit.sweeps.results.job_results import Result
from detkit.sweeps.results.results_table import Table, cell
from detkit.text import brief_value
from detkit.visualization import report_style
from detkit.visualization.page import page, section

FILE = "table.html"
_REPORT = "report.html"


def write_page(table: Table, effects: Effects, folder: Path, command: str) -> Path:
    """Write the page into the sweep's folder; it needs no other file and no network.

    Args:
        table: The jobs, in the order that the page begins with.
        effects: Their marginal effects.
        folder: Of the sweep; jobs' reports are linked from there.
        command: What started the sweep.
    """
    drawn = curves(table.results, table.metric)
    heading = " and ".join(table.conditions)
    sections = [
        _tiles(table),
        section(f"Jobs with {heading}" if heading else "Jobs", _jobs(table, folder)),
        section(f"{table.metric} over the epochs", drawn and _curves(table, drawn)),
        section(f"Effect of each key on {table.metric}", _effects(effects, table)),
        section("Command", f"<pre>{escape(command)}</pre>" if command else ""),
    ]
    body = "\n".join(filter(None, sections))
    style = report_style.STYLE + STYLE
    title = folder.resolve().name
    text = page(title, body, kind="detkit sweep", style=style, script=SCRIPT)
    file = folder / FILE
    part = file.with_suffix(".part")  # a reader never sees half a page
    part.write_text(text, encoding="utf-8")
    os.replace(part, file)
    return file


def _curves(table: Table, drawn: str) -> str:
    note = curves_note(table.results, table.metric)
    return f'{_colour_choice(table)}{drawn}\n<p class="reading">{escape(note)}</p>'


def _tiles(table: Table) -> str:
    states = Counter(result.state for result in table.results)
    tiles = [(str(count), state) for state, count in states.most_common()]
    best = [r.numbers[table.metric] for r in table.results if table.metric in r.numbers]
    if best:
        tiles.insert(0, (f"{max(best):.4f}", f"best {table.metric}"))
    divisions = (
        f'<div class="tile"><b>{n}</b><span>{escape(label)}</span></div>' for n, label in tiles
    )
    return f'<div class="tiles">{"".join(divisions)}</div>'


def _jobs(table: Table, folder: Path) -> str:
    heads = [*table.columns, *(["error"] if _any_error(table) else []), "job"]
    numeric = {*table.numbers, "epoch", "minutes"}
    head = "".join(
        f'<th scope="col"{_number_class(name in numeric)}>'
        f'<button type="button">{escape(name)}</button></th>'
        for name in heads
    )
    rows = "\n".join(_row(table, result, folder, numeric) for result in table.results)
    return (
        '<div class="tools"><label>Filter <input id="filter" type="search" autocomplete="off" '
        'placeholder="words that a row has to hold"></label><span id="shown"></span></div>\n'
        f'<div class="wide"><table id="jobs"><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody></table></div>"
    )


def _row(table: Table, result: Result, folder: Path, numeric: set[str]) -> str:
    cells = []
    for column in table.columns:
        value = table.value(result, column)
        exact = "" if value is None else str(value)
        kind = _number_class(column in numeric)
        if column == "state":
            kind = f' class="{escape(result.state)}"'
        cells.append(f'<td{kind} data-value="{escape(exact)}">{escape(cell(column, value))}</td>')
    name = escape(result.name)
    if (folder / result.name / _REPORT).is_file():
        name = f'<a href="{quote(result.name)}/{_REPORT}">{name}</a>'
    pairs = (f"{key}={value}" for key, value in result.values.items())
    text = " ".join([result.name, *pairs, result.state, result.error or ""]).lower()
    error = f'<td class="error">{escape(result.error or "")}</td>' if _any_error(table) else ""
    return (
        f'<tr data-job="{escape(result.name)}" data-text="{escape(text)}">'
        f"{''.join(cells)}{error}<td>{name}</td></tr>"
    )


def _any_error(table: Table) -> bool:
    return any(result.error for result in table.results)


def _number_class(is_number: bool) -> str:
    return ' class="number"' if is_number else ""


def _colour_choice(table: Table) -> str:
    """A choice of the column that colours the curves; at first the first key with few values."""
    values = {key: {result.values[key] for result in table.results} for key in table.keys}
    few = [key for key in table.keys if key != SEED and len(values[key]) <= COLOURS]
    default = few[0] if few else "state"
    options = "".join(
        f'<option value="{table.columns.index(name)}"'
        f"{' selected' if name == default else ''}>{escape(name)}</option>"
        for name in [*table.keys, "state"]
    )
    return (
        f'<div class="tools"><label>Colour by <select id="colour">{options}</select></label>'
        '<div id="legend"></div></div>\n'
    )


def _effects(effects: Effects, table: Table) -> str:
    if not effects.jobs:
        return "<p>No job is done yet.</p>"
    notes = "".join(
        f'<p class="reading">{escape(note)}</p>' for note in effects_notes(effects, table)
    )
    parts = [
        _table(
            [each.key, "jobs", table.metric, "effect", "spread"],
            [list(level_cells(level)) for level in each.levels],
        )
        for each in effects.keys
    ]
    for trend in effects.trends:
        thirds = [
            [
                f"{brief_value(third.lowest)} to {brief_value(third.highest)}",
                str(third.cells),
                f"{third.mean:.4f}",
            ]
            for third in trend.thirds
        ]
        correlation = "unknown" if trend.correlation is None else f"{trend.correlation:+.2f}"
        rank = f"rank correlation with {table.metric} (Spearman): {correlation}"
        parts.append(_table([trend.key, "cells", table.metric], thirds) + f"<p>{escape(rank)}</p>")
    return notes + "\n".join(parts)


def _table(heads: list[str], rows: list[list[str]]) -> str:
    """The first column holds text, the others numbers."""
    kinds = ["", *[_number_class(True)] * (len(heads) - 1)]
    head = "".join(f"<th{kind}>{escape(n)}</th>" for kind, n in zip(kinds, heads, strict=True))
    cells = (
        "".join(f"<td{kind}>{escape(text)}</td>" for kind, text in zip(kinds, row, strict=True))
        for row in rows
    )
    lines = "\n".join(f"<tr>{cell}</tr>" for cell in cells)
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>\n{lines}\n</tbody></table></div>"
    )
