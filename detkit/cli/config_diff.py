"""`detkit config diff`: what differs between two runs, pages or experiments."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from typing import Any

from detkit.cli.compared import read_side
from detkit.cli.flags import without
from detkit.config.difference import ABSENT, Difference, value_text
from detkit.errors import UserError
from detkit.runs.run_comparison import Comparison, compare

HELP = """
usage: detkit config diff A B [--json]

Shows how two runs, pages or experiments differ, path by path: first the configuration, then what a
run depends on (versions, seed, data, code, devices), then what never changes a result (folder,
name, command). A replaced part is one line; --json shows both parts in full.
A and B are each a run folder, a config.yaml, a checkpoint, the name of a page, or a training's
overrides in quotes.
Exit code: 0 if both are equal, 1 if they differ, 2 if one of them cannot be read.

  detkit config diff runs/first runs/second
  detkit config diff experiment=small_data experiment=demo
  detkit config diff fcos atss
  detkit config diff runs/first "experiment=small_data image_size=320"
  detkit config diff runs/first/config.yaml best.ckpt --json
"""


def run(arguments: list[str]) -> int:
    """Print what differs; 1 if anything does.

    Raises:
        UserError: Not two are named, or one cannot be read.
    """
    sides, flags = without(arguments, "--json")
    if len(sides) != 2 or any(side.startswith("-") for side in sides):  # noqa: PLR2004
        raise UserError(
            "'detkit config diff' takes two runs, pages or quoted words, such as `detkit config "
            f"diff runs/first experiment=demo`; got '{' '.join(arguments)}'."
        )
    comparison = compare(*map(read_side, sides))
    print(json.dumps(as_plain(comparison), indent=2) if flags else table(comparison, sides))
    return 1 if comparison else 0


def as_plain(comparison: Comparison) -> dict[str, Any]:
    """The comparison for a program; values that one side lacks are omitted from its entry."""
    return {
        "equal": not comparison,
        **{
            name: [_entry(difference) for difference in getattr(comparison, name)]
            for name in ("configuration", "environment", "apart")
        },
    }


def _entry(difference: Difference) -> dict[str, Any]:
    sides = {"before": difference.before, "after": difference.after}
    present = {side: value for side, value in sides.items() if value is not ABSENT}
    return {"path": difference.path, **present}


def table(comparison: Comparison, sides: list[str]) -> str:
    """The comparison for a reader: a line for each path, both values beside it."""
    titles = {
        "configuration": "configuration",
        "environment": "what it depended on",
        "apart": "changes no result",
    }
    rows = {title: list(_rows(getattr(comparison, name))) for name, title in titles.items()}
    every = [row for some in rows.values() for row in some] + [("", *sides)]
    room = shutil.get_terminal_size((100, 24)).columns
    first = max(len(row[0]) for row in every)
    value_width = max(12, (room - first - 6) // 2)
    second = min(value_width, max(len(row[1]) for row in every))
    lines = [] if comparison else ["no difference that could change a result"]
    if any(rows.values()):
        lines.append(_line(("", *sides), first, second, value_width))
    for title, some in rows.items():
        if some:
            lines += ["", title, *(_line(row, first, second, value_width) for row in some)]
    return "\n".join(lines)


def _rows(differences: Iterable[Difference]) -> Iterator[tuple[str, str, str]]:
    for difference in differences:
        values = (difference.before, difference.after)
        plain = all(isinstance(value, str) and value.isprintable() for value in values)
        before, after = (str(value) if plain else value_text(value) for value in values)
        yield difference.path, before, after


def _line(row: tuple[str, ...], first: int, second: int, longest: int) -> str:
    path, before, after = row
    values = [v if len(v) <= longest else f"{v[: longest - 1]}…" for v in (before, after)]
    return f"  {path:{first}}  {values[0]:{second}}  {values[1]}".rstrip()
