"""Check the structure of a page before Hydra merges it: its defaults list, and lists of parts.

Hydra's own messages for such mistakes name neither the key nor the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detkit.config import slots
from detkit.config.composition import current
from detkit.config.signatures import arguments
from detkit.errors import ConfigError
from detkit.files import display_path

_DEFAULTS = "a list of page names and of `group: option`, such as [{override /model: fcos}, _self_]"


def require_shape(mapping: Mapping[str, Any], prefix: tuple[str, ...], file: Path) -> None:
    """Refuse a page with a wrong defaults list, or with a list where parts need a mapping.

    Args:
        mapping: The page.
        prefix: The config path of its keys.
        file: The page's file.

    Raises:
        ConfigError: One message per problem.
    """
    problems = _wrong_defaults(mapping.get("defaults"), display_path(file))
    body = {key: value for key, value in mapping.items() if key != "defaults"}
    problems += _wrong_lists(body, prefix)
    if problems:
        raise ConfigError(problems)


def _wrong_defaults(entries: Any, where: str) -> list[str]:
    if entries is None:
        return []
    if not isinstance(entries, list):
        return [f"{where}: defaults: expected {_DEFAULTS}; got {entries!r}."]
    return [
        f"{where}: defaults: '{entry}' is no entry; expected {_DEFAULTS}."
        for entry in entries
        if not (isinstance(entry, str) and entry) and not _is_choice(entry)
    ]


def _is_choice(entry: Any) -> bool:
    if not isinstance(entry, Mapping) or len(entry) != 1:
        return False
    ((group, option),) = entry.items()
    options = option if isinstance(option, list) else [option]
    return isinstance(group, str) and all(item is None or isinstance(item, str) for item in options)


def _wrong_lists(mapping: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    """A message for each list at a config path that needs a mapping."""
    problems: list[str] = []
    for key, value in mapping.items():
        inner = (*path, str(key))
        if isinstance(value, Mapping):
            problems += _wrong_lists(value, inner)
        elif isinstance(value, list) and needs_mapping(inner):
            name = ".".join(inner)
            origin = current().origins.find(name)
            where = f" ({origin})" if origin else ""
            problems.append(f"{name}: expected a mapping of keys to values, got a list.{where}")
    return problems


def needs_mapping(path: tuple[str, ...]) -> bool:
    """Whether a config path holds a part, a block or parts by label."""
    argument = slots.root_arguments().get(path[0])
    if argument is None:
        return False
    if len(path) == 1 or slots.slot_at(path) is not None:
        return argument.slot is not None or argument.block is not None
    if argument.by_label:
        return len(path) == 2  # noqa: PLR2004  # a label of parts
    block = slots.block_at(path[:1])
    inner = arguments(block).get(path[1]) if block is not None else None
    return inner is not None and inner.by_label and len(path) <= 3  # noqa: PLR2004
