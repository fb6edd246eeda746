"""Marginal effects as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from detkit.sweeps.results.effects import Effects, Level, effects
from detkit.sweeps.results.job_results import Result
from detkit.sweeps.results.results_table import Table
from detkit.text import LONGEST_CELL, align_columns, brief_value, counted


def countable_results(table: Table) -> list[Result]:
    """The jobs that effects are of: those that are done, and have the number."""
    done = (result for result in table.results if result.state == "done")
    return [result for result in done if table.metric in result.numbers]


def effects_of(table: Table) -> Effects:
    """The effects of the swept keys on the table's metric."""
    return effects([(r.values, r.numbers[table.metric]) for r in countable_results(table)])


def effects_notes(found: Effects, table: Table) -> list[str]:
    """Sentences that say what the effects are of, and what is not known."""
    notes = []
    if table.conditions:
        notes.append(f"Only jobs with {' and '.join(table.conditions)}.")
    left = len(table.results) - found.jobs
    if left:
        notes.append(
            f"{found.jobs} of {counted(len(table.results), 'job')} count: those that are done."
        )
    if any(result.state == "pruned" for result in table.results):
        notes.append("Pruned jobs are left out, so values that do badly look better than they are.")
    if found.spread is None:
        notes.append(
            "No two jobs differ in the seed only, so the spread over seeds is not known, and an "
            "effect may be chance: add seed=1,2,3."
        )
    else:
        notes.append(
            f"Spread over seeds: {found.spread:.4f} (standard deviation, "
            f"{counted(found.jobs, 'job')} in {counted(found.cells, 'cell')}); ± is the standard "
            "error of an effect by it."
        )
    if not found.complete:
        notes.append(
            "Not every combination of values is there: effects are of a least-squares fit without "
            "interactions, and need not be differences of the means beside them."
        )
    if any(level.effect is None for each in found.keys for level in each.levels):
        notes.append("An effect is empty where its key changes only along with another one.")
    return notes


def effects_lines(found: Effects, table: Table) -> list[str]:
    """A table for each swept key but the seed."""
    lines: list[str] = []
    for each in found.keys:
        heads = [each.key, "jobs", table.metric, "effect", "spread"]
        rows = [level_cells(level) for level in each.levels]
        lines += ["", *align_columns([heads, *rows], range(1, len(heads)), longest=LONGEST_CELL)]
    for trend in found.trends:
        rows = [
            [f"{brief_value(t.lowest)} to {brief_value(t.highest)}", str(t.cells), f"{t.mean:.4f}"]
            for t in trend.thirds
        ]
        told = "unknown" if trend.correlation is None else f"{trend.correlation:+.2f}"
        lines += ["", *align_columns([[trend.key, "cells", table.metric], *rows], (1, 2))]
        lines.append(f"rank correlation with {table.metric} (Spearman): {told}")
    return lines


def level_cells(level: Level) -> Sequence[str]:
    """What a person reads of a value: jobs, mean, effect with its error, spread over seeds."""
    effect = "" if level.effect is None else f"{level.effect:+.4f}"
    if effect and level.error is not None:
        effect += f" ± {level.error:.4f}"
    spread = "unknown" if level.spread is None else f"{level.spread:.4f}"
    return [brief_value(level.value), str(level.jobs), f"{level.mean:.4f}", effect, spread]
