"""Find the keys that a configuration's interpolations refer to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_REFERENCE = re.compile(r"\$\{\s*(?:oc\.select:\s*)?(\.*[\w.\[\]-]+)\s*[,}]")


def references(config: Mapping[str, Any]) -> set[str]:
    """The config paths that interpolations refer to, absolute, and their parents.

    Args:
        config: Plain mapping with interpolations kept.
    """
    paths: set[str] = set()
    for path, text in _texts(config, ()):
        for reference in _REFERENCE.findall(text):
            keys = _absolute(reference, path)
            paths |= {".".join(keys[:count]) for count in range(1, len(keys) + 1)}
    return paths


def _absolute(reference: str, path: tuple[str, ...]) -> tuple[str, ...]:
    name = reference.lstrip(".")
    keys = tuple(re.findall(r"[\w-]+", name))
    dots = len(reference) - len(name)
    return (*path[: max(len(path) - dots, 0)], *keys) if dots else keys


def _texts(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """(config path, text) of every interpolation."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, (*path, str(key)))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(inner, (*path, str(number)))
    elif isinstance(value, str) and "${" in value:
        yield path, value
