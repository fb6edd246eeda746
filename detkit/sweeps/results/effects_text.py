"""The effects of the swept keys as tables and sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from detkit.sweeps.results.effects import Effect, Effects, Level, Trend, effects
from detkit.sweeps.results.job_results import Result
from detkit.sweeps.results.results_table import Table
from detkit.text import LONGEST_CELL, align_columns, brief_value, counted


class EffectTable(NamedTuple):
    """The table of a key: text in the first column, numbers in the others, a note below."""

    heads: list[str]
    rows: list[list[str]]
    note: str = ""


def countable_results(table: Table) -> list[Result]:
    """The finished jobs that have the metric."""
    done = (result for result in table.results if result.state == "done")
    return [result for result in done if table.metric in result.numbers]


def effects_of(table: Table) -> Effects:
    """The effects of the swept keys on the table's metric."""
    return effects([(r.values, r.numbers[table.metric]) for r in countable_results(table)])


def effects_notes(effects: Effects, table: Table) -> list[str]:
    """Sentences on which jobs the effects are computed from, and what is unknown."""
    notes = []
    if table.conditions:
        notes.append(f"Only jobs with {' and '.join(table.conditions)}.")
    if len(table.results) > effects.jobs:
        notes.append(
            f"Computed from the finished jobs: {effects.jobs} of "
            f"{counted(len(table.results), 'job')}."
        )
    if any(result.state == "pruned" for result in table.results):
        notes.append("Pruned jobs are left out, so poor values look better than they are.")
    if effects.spread is None:
        notes.append(
            "No two jobs differ only in the seed, so the spread over seeds is unknown and an "
            "effect may be due to chance: add seed=1,2,3."
        )
    else:
        notes.append(
            f"Spread over seeds: {effects.spread:.4f} (standard deviation, "
            f"{counted(effects.jobs, 'job')} in {counted(effects.cells, 'cell')}); ± is the "
            "standard error of an effect, computed from it."
        )
    if not effects.complete:
        notes.append(
            "Some combinations of values are missing: an effect compares only jobs that differ in "
            "its key, so it need not match the means beside it."
        )
    if any(level.effect is None for effect in effects.keys for level in effect.levels):
        notes.append(
            "An effect is empty if no jobs with all values of its key are alike otherwise."
        )
    return notes


def effect_tables(effects: Effects, metric: str) -> Iterator[EffectTable]:
    """A table for each swept key except the seed."""
    for effect in effects.keys:
        yield _effect_table(effect, metric)
    for trend in effects.trends:
        yield _trend_table(trend, metric)


def effects_lines(effects: Effects, table: Table) -> list[str]:
    """The tables for a terminal."""
    lines: list[str] = []
    for heads, rows, note in effect_tables(effects, table.metric):
        lines += ["", *align_columns([heads, *rows], range(1, len(heads)), longest=LONGEST_CELL)]
        lines += [note] if note else []
    return lines


def _effect_table(effect: Effect, metric: str) -> EffectTable:
    heads = [effect.key, "jobs", metric, "effect", "spread"]
    return EffectTable(heads, [_level_row(level) for level in effect.levels])


def _level_row(level: Level) -> list[str]:
    effect = "" if level.effect is None else f"{level.effect:+.4f}"
    if effect and level.error is not None:
        effect += f" ± {level.error:.4f}"
    spread = "unknown" if level.spread is None else f"{level.spread:.4f}"
    return [brief_value(level.value), str(level.jobs), f"{level.mean:.4f}", effect, spread]


def _trend_table(trend: Trend, metric: str) -> EffectTable:
    rows = [
        [f"{brief_value(t.lowest)} to {brief_value(t.highest)}", str(t.cells), f"{t.mean:.4f}"]
        for t in trend.thirds
    ]
    correlation = "unknown" if trend.correlation is None else f"{trend.correlation:+.2f}"
    note = f"rank correlation with {metric} (Spearman): {correlation}"
    return EffectTable([trend.key, "cells", metric], rows, note)
