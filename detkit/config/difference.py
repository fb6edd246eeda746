"""The differences between two configurations, path by path."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detkit.config.value_types import literal_text


class _Absent:
    def __repr__(self) -> str:
        return "absent"


ABSENT: Any = _Absent()


@dataclass(frozen=True)
class Difference:
    """One config path whose values differ.

    Where one part was replaced by another, this is one difference at the path of the part, with
    both parts whole: what an argument of the one and not of the other is worth is not compared.

    Attributes:
        path: The config path, keys joined by dots; empty for the whole.
        before: The value in the first configuration, or ABSENT.
        after: The value in the second one, or ABSENT.
    """

    path: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.path}: {value_text(self.before)} -> {value_text(self.after)}"


def differences(before: Any, after: Any, path: str = "") -> list[Difference]:
    """Compare two plain values; differences come in the order of the first, then of the second.

    Mappings are compared key by key, lists as a whole. `1` equals `1.0`; `1` is not `true`.

    Args:
        before: A configuration, or a part of one: mappings, lists and plain values.
        after: Another one.
        path: The config path of both.
    """
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return [] if _same(before, after) else [Difference(path, before, after)]
    if before.get("name", ABSENT) != after.get("name", ABSENT):
        return [Difference(path, before, after)]
    result = []
    for key in dict.fromkeys([*before, *after]):
        inner = f"{path}.{key}" if path else str(key)
        result += differences(before.get(key, ABSENT), after.get(key, ABSENT), inner)
    return result


def _same(before: Any, after: Any) -> bool:
    if isinstance(before, bool) or isinstance(after, bool):
        return before is after
    if isinstance(before, list | tuple) and isinstance(after, list | tuple):
        return len(before) == len(after) and not any(map(differences, before, after))
    return bool(before == after)


def value_text(value: Any) -> str:
    """A value on one line: a part by its name, anything else as YAML."""
    if value is ABSENT:
        return "absent"
    if isinstance(value, Mapping) and "name" in value:
        return str(value["name"])
    if isinstance(value, str) and value.isprintable() and value == value.strip() != "":
        return literal_text(value)
    return json.dumps(value, ensure_ascii=False, default=str).replace("Infinity", ".inf")
