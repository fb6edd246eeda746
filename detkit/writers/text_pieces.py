"""Text that is written piece by piece, so that none of it is whole in memory."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from typing import Any


def json_list(values: Iterable[Any]) -> Iterator[str]:
    """A JSON list with a line for each value, piece by piece."""
    separator = "[\n"
    for value in values:
        yield f"{separator}{json.dumps(value, ensure_ascii=False)}"
        separator = ",\n"
    yield "[]\n" if separator == "[\n" else "\n]\n"


def json_object(pairs: Iterable[tuple[str, Any]]) -> Iterator[str]:
    """A JSON object with a line for each key and value."""
    separator = "{\n"
    for key, value in pairs:
        texts = (json.dumps(text, ensure_ascii=False) for text in (key, value))
        yield f"{separator}{': '.join(texts)}"
        separator = ",\n"
    yield "{}\n" if separator == "{\n" else "\n}\n"


def csv_lines(rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """Lines of a CSV file; texts are quoted where they need it."""
    table = csv.writer(_Line(), lineterminator="\n")
    for row in rows:
        yield table.writerow(row)  # what `_Line.write` returns


class _Line:
    """A file for the csv module that hands each line back."""

    def write(self, text: str) -> str:
        return text


def short_number(value: float) -> str:
    """A float32 value with all the digits that it has, and no more."""
    return f"{value:.7g}"
