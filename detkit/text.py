"""Text for people: counts, lists of names, durations, sizes, tables, and KEY=VALUE words.

Hand-written because no dependency of detkit does this: rich, tabulate, humanize or inflect would
each be a new one that saves less than it costs, and importing rich would slow every light command.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Sequence

_PLURALS = {
    "batch": "batches",
    "box": "boxes",
    "class": "classes",
    "entry": "entries",
    "process": "processes",
}
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_FEW_MINUTES = 10
_MB, _GIB = 10**6, 2**30
LONGEST_CELL = 40  # of tables with values that the user typed
_LONGEST_NUMBER = 10


def counted(count: int, noun: str) -> str:
    """A number and what it counts: "1 box", "1,200 crowd objects"."""
    return f"{count:,} {noun if count == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """The plural of a noun, or of a phrase that ends in one."""
    *words, noun = noun.split(" ")
    return " ".join([*words, _PLURALS.get(noun, f"{noun}s")])


def agree(count: int, singular: str, several: str) -> str:
    """The form that goes with a count: `agree(n, "is", "are")`."""
    return singular if count == 1 else several


def listed(names: Iterable[object], conjunction: str = "and") -> str:
    """Names as a list in a sentence: "a", "a and b", "a, b and c"; "" without names."""
    texts = list(map(str, names))
    if len(texts) < 2:  # noqa: PLR2004
        return "".join(texts)
    return f"{', '.join(texts[:-1])} {conjunction} {texts[-1]}"


def duration(seconds: float) -> str:
    """A duration in its largest units: "45 s", "3 min 20 s", "34 min", "2 h 5 min", "3 d 4 h"."""
    whole = max(round(seconds), 0)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _FEW_MINUTES * _MINUTE:
        return _two_units(whole, (_MINUTE, "min"), (1, "s"))
    whole = round(whole / _MINUTE) * _MINUTE
    if whole < _HOUR:
        return f"{whole // _MINUTE} min"
    if whole < _DAY:
        return _two_units(whole, (_HOUR, "h"), (_MINUTE, "min"))
    return _two_units(round(whole / _HOUR) * _HOUR, (_DAY, "d"), (_HOUR, "h"))


def _two_units(seconds: int, large: tuple[int, str], small: tuple[int, str]) -> str:
    remainder = seconds % large[0] // small[0]
    return f"{seconds // large[0]} {large[1]}" + (f" {remainder} {small[1]}" if remainder else "")


def file_size(count: int) -> str:
    """A number of bytes as file managers print it: "12.3 MB"."""
    return f"{count / _MB:.1f} MB"


def memory_size(count: float, digits: int = 1) -> str:
    """A number of bytes of memory, in powers of two: "7.5 GiB"."""
    return f"{count / _GIB:.{digits}f} GiB"


def align_columns(
    rows: Sequence[Sequence[str]],
    right_aligned: Collection[int] = (),
    *,
    gap: int = 2,
    longest: int | None = None,
) -> list[str]:
    """Lines of a table.

    Args:
        rows: Cells; every row has the same number.
        right_aligned: Indices of the columns that align at the right, as numbers do.
        gap: Spaces between two columns.
        longest: Characters of the longest cell; longer ones are cut. None: cells stay as they are.
    """
    if longest is not None:
        rows = [[shortened(cell, longest) for cell in row] for row in rows]
    widths = [max(map(text_width, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = []
        for index, (cell, width) in enumerate(zip(row, widths, strict=True)):
            space = " " * (width - text_width(cell))
            cells.append(space + cell if index in right_aligned else cell + space)
        lines.append((" " * gap).join(cells).rstrip())
    return lines


def text_width(text: str) -> int:
    """Columns that a text takes in a terminal: two for a wide letter, none for a combining mark."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) > 0 for letter in text)


def shortened(text: str, longest: int = LONGEST_CELL) -> str:
    """A text on one line, cut with an ellipsis if it is too long."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def brief_value(text: str) -> str:
    """A value as it was typed; a sampled number with all its digits is rounded to four."""
    if len(text) <= _LONGEST_NUMBER:
        return text
    try:
        return f"{float(text):.4g}"
    except ValueError:
        return text


def split_setting(word: str) -> tuple[str, str]:
    """Key and value of KEY=VALUE, without Hydra's +; the value is "" if the word has no =."""
    key, _, value = word.lstrip("+").partition("=")
    return key, value
