"""JSON lists that are never whole in memory."""

from __future__ import annotations

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
