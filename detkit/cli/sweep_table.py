"""`detkit sweep table`: compare the jobs of a sweep, and show the effect of each key."""

from __future__ import annotations

from pathlib import Path

from detkit.cli.options import split_options
from detkit.errors import UserError
from detkit.sweeps.jobs.sweep_folder import SweepFolder
from detkit.sweeps.results.chance import mark_differences
from detkit.sweeps.results.effects_text import effects_lines, effects_notes, effects_of
from detkit.sweeps.results.job_results import read_results
from detkit.sweeps.results.results_page import write_page
from detkit.sweeps.results.results_table import make_table, table_lines, write_csv

HELP = """
usage: detkit sweep table DIR [sort=COLUMN] [where=CONDITION ...] [metric=NAME]

Shows all jobs of a sweep, running ones included: the keys that vary, the metrics of the best
checkpoint (for unfinished jobs, of the best epoch so far), its epoch, minutes, state. Below, for
each key except the seed, the effect of its values on AP next to the spread over seeds. Writes
DIR/table.csv and DIR/table.html, a self-contained page with curves.

The column `vs best` marks jobs that are worse than the best one by more than the choice of the
validation images explains; `by chance` marks the others. See docs/confidence.md.

  detkit sweep table runs/SWEEP
  detkit sweep table runs/SWEEP sort=minutes where=model=fcos where='AP>0.3'
  detkit sweep table runs/SWEEP metric=AP75

sort=COLUMN        order by a column, AP and other scores highest first, others lowest first;
                   -COLUMN reverses the order
where=CONDITION    only jobs that meet it: COLUMN=VALUE, or != < <= > >= in between; may be repeated
metric=NAME        the metric to compare, as in metrics.json (AP)
"""
_OPTIONS = ("sort", "where", "metric")


def run(arguments: list[str]) -> int:
    """Print the table and write both files."""
    folder, sort, where, metric = _read(arguments)
    sweep = SweepFolder.open(folder)
    table = make_table(read_results(sweep), metric, sort, where)
    if not table.results:
        print("no job of the sweep meets the conditions" if where else "the sweep has no jobs yet")
        return 0
    table, notes = mark_differences(table, folder)
    print("\n".join([*table_lines(table), *([""] if notes else []), *notes]))
    effects = effects_of(table)
    if effects.jobs:
        print()
        print("\n".join([*effects_notes(effects, table), *effects_lines(effects, table)]))
    write_csv(table, folder / "table.csv")
    page = write_page(table, effects, folder, sweep.command)
    print(f"\nwritten: {folder / 'table.csv'}, {page}")
    return 0


def _read(arguments: list[str]) -> tuple[Path, str | None, list[str], str]:
    """The folder, the column to sort by, the conditions, the metric."""
    folders, values = split_options(
        "sweep table",
        arguments,
        _OPTIONS,
        repeatable=("where",),
        hint=" A condition is where={word}.",
    )
    if len(folders) != 1:
        raise UserError(f"detkit sweep table needs one folder of a sweep, got {len(folders)}.")
    sort, metric = (values.get(key, [""])[0] for key in ("sort", "metric"))
    return Path(folders[0]), sort or None, values.get("where", []), metric or "AP"
