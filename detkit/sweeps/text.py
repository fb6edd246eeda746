"""Rows of text in columns, for a terminal."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from detkit.evaluation.table import text_width
from detkit.wording import counted

_LONGEST_CELL = 40
_LONGEST_NUMBER = 10


def aligned(rows: Sequence[Sequence[str]], numbers: Collection[int] = ()) -> list[str]:
    """Lines of columns two spaces apart, the first row their heads.

    Args:
        rows: Cells, as many in each row; long ones are cut.
        numbers: Places of the columns that stand at the right.
    """
    short = [[shortened(cell) for cell in row] for row in rows]
    widths = [max(map(text_width, column)) for column in zip(*short, strict=True)]
    lines = []
    for row in short:
        cells = []
        for number, (cell, width) in enumerate(zip(row, widths, strict=True)):
            space = " " * (width - text_width(cell))
            cells.append(space + cell if number in numbers else cell + space)
        lines.append("  ".join(cells).rstrip())
    return lines


def shortened(text: str, longest: int = _LONGEST_CELL) -> str:
    """A text on one line that is cut where it is longer."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def brief(text: str) -> str:
    """A value as it was typed; a number that was drawn, with all its digits, is rounded to four."""
    if len(text) <= _LONGEST_NUMBER:
        return text
    try:
        return f"{float(text):.4g}"
    except ValueError:
        return text


def plural(count: int, word: str) -> str:
    """A count with its word: `1 job`, `2 jobs`."""
    return counted(count, word)


def pairs(words: Iterable[str]) -> list[tuple[str, str]]:
    """Key and value of each word of a job."""
    split = (word.lstrip("+").partition("=") for word in words)
    return [(key, value) for key, _, value in split]
