"""Check overrides, and prepare them for Hydra."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    Glob,
    Override,
    QuotedString,
    RangeSweep,
)
from hydra.errors import HydraException

from detkit import registry
from detkit.config import slots
from detkit.config.checks.other_tools import HINTS
from detkit.config.checks.page_structure import needs_mapping
from detkit.config.checks.safety import refuse_code, refuse_group, refuse_hydra
from detkit.config.folders import page_folders
from detkit.errors import ConfigError, did_you_mean, nearest


@cache
def parse(word: str) -> Override:
    """Parse an override with Hydra's grammar; cached, because parsing takes 2 ms.

    Raises:
        ConfigError: It is not an override.
    """
    parser = OverridesParser.create()
    for form in (word, _quoted(word)):
        try:
            return parser.parse_override(form)
        except (HydraException, RecursionError) as error:
            problem = error
    raise ConfigError([_unreadable(word, problem)]) from problem


def _quoted(word: str) -> str:
    """The override with a quoted value, if only its non-ASCII letters require quotes."""
    key, separator, value = word.partition("=")
    simple = separator and not value.isascii() and not set(value) & set("\"'\\,()[]{}$")
    return f'{key}="{value}"' if simple else word


def quoted_value(text: str) -> str:
    """Quote a value so that Hydra's override grammar takes it as text, whatever it holds."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _unreadable(word: str, error: Exception) -> str:
    excerpt = word if len(word) <= 100 else f"{word[:97]}..."  # noqa: PLR2004
    if "=" not in word and not word.startswith("~"):
        return f"cannot read '{excerpt}': it has no '='; write {_with_key(word)}"
    reason = " ".join(str(error).split("See ")[0].split()) or "it is nested too deep"
    return (
        f"cannot read '{excerpt}': {reason[:200]}; write KEY=VALUE, and quote what holds spaces, "
        "commas or brackets."
    )


def _with_key(word: str) -> str:
    """The most likely meaning of a word without '=': a file or folder, or a key."""
    path = Path(word)
    if path.exists():
        is_weights = path.suffix in (".ckpt", ".pt", ".pth", ".safetensors")
        return f"weights={word}" if is_weights else f"data.path={word}"
    if hint := HINTS.get(word.lower()):
        return f"{hint.keys[0]}=..."
    meant = nearest(word, [*slots.root_arguments(), "experiment", "debug"])
    return f"{meant}=..." if meant else "KEY=VALUE"


def listed_plugins(words: list[str]) -> list[str]:
    """The plugins in `plugins=...`."""
    for word in words:
        if re.match(r"\+{0,2}plugins=", word):
            value = parse(word).value()
            named = value if isinstance(value, list) else [value]
            return [str(name) for name in named if name is not None]
    return []


def prepared(words: list[str]) -> list[str]:
    """Overrides that keep wrong keys for detkit's own check.

    Raises:
        ConfigError: With all overrides that cannot be read, name a missing group or would run code.
    """
    ready: list[str] = []
    problems: list[str] = []
    for word in words:
        try:
            ready.append(_prepared(word))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return ready


def _prepared(word: str) -> str:
    override = parse(word)
    key, word = override.key_or_group, str(override.input_line)
    _refuse_unsafe(word, override)
    if "/" in key and not key.startswith("hydra/") and not is_group(key):
        raise ConfigError([f"{word}: there is no group '{key}'.{_nearest_group(key)}"])
    _require_kind(word, override)
    pattern = override.value()
    if isinstance(pattern, Glob) and not key.startswith("hydra/"):
        word = _listed(word, key, pattern)
    is_hydras = re.match(r"hydra(/|\.(?!launcher\.|sweeper\.))", key)
    if not (is_group(key) or is_hydras or word[0] in "+~"):
        return f"++{word}"  # so that a wrong key reaches the check, which names all of them
    return word


def _require_kind(word: str, override: Override) -> None:
    """Raise ConfigError for an override that Hydra could not merge."""
    key = override.key_or_group
    for value in _values(override):
        if not key or (is_group(key) and not isinstance(value, str | list | dict | None)):
            raise ConfigError([f"{word}: choose an option of '{key}' by its name."])
        if isinstance(value, list) and "/" not in key and needs_mapping(tuple(key.split("."))):
            raise ConfigError(
                [f"{key}: expected a mapping of keys to values, got a list. (command line)"]
            )


def _refuse_unsafe(word: str, override: Override) -> None:
    """Raise ConfigError for an override that could make Hydra or logging call something."""
    key = override.key_or_group
    if override.package is not None or "/" in key:
        refuse_group(f"{key}@{override.package}" if override.package is not None else key, word)
    if "/" in key:
        return
    for value in _values(override):
        nested: Any = value
        for name in reversed(key.split(".")):
            nested = {name: nested}
        refuse_code(nested, word)
        if "hydra" in nested:
            refuse_hydra(nested["hydra"], word)


def _values(override: Override) -> list[Any]:
    """The values that an override sets a key to; several in a sweep."""
    if not override.is_sweep_override():
        return [override.value()]
    value: Any = override.value()
    return [_plain(item) for item in value.list] if isinstance(value, ChoiceSweep) else [None]


def _plain(value: Any) -> Any:
    """A parsed value as plain text, lists and mappings."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    return value.text if isinstance(value, QuotedString) else value


def is_group(key: str) -> bool:
    """Whether a key names a config group: a slot, or a folder of slots."""
    path = tuple(key.split("/"))
    if slots.slot_at(path) is not None:
        return True
    return any((folder / key).is_dir() for folder in page_folders())


def options(group: str) -> list[str]:
    """The options of a config group: registered parts, and pages of all folders."""
    slot = slots.slot_at(tuple(group.split("/")))
    pages = [page.stem for folder in page_folders() for page in (folder / group).glob("*.yaml")]
    return sorted({*pages, *(registry.names(slot.family) if slot else [])})


def _listed(word: str, key: str, pattern: Glob) -> str:
    """The override with its pattern expanded to the matching options.

    Raises:
        ConfigError: The key is no group, or the pattern matches no option.
    """
    group = key.replace(".", "/")
    if not is_group(group):
        raise ConfigError(
            [f"{word}: glob lists the options of a config group, and {key} is not one."]
        )
    choices = options(group)
    names = pattern.filter(choices)
    if not names:
        raise ConfigError([f"{word}: matches no option of {group}; options: {', '.join(choices)}."])
    return f"{key}={','.join(names)}"


def _nearest_group(key: str) -> str:
    path = key.split("/")
    slot = slots.slot_at(tuple(path[:-1]))
    names = registry.slot_names(slot.family) if slot else list(slots.root_arguments())
    match = did_you_mean(path[-1] if slot else path[0], names)
    return f"{match} Groups there: {', '.join(names)}."


def has_no_list(word: str) -> bool:
    """Whether the values of an override cannot be listed, as in an interval."""
    override = parse(word)
    listed = isinstance(override.value(), ChoiceSweep | RangeSweep)
    return override.is_sweep_override() and not listed


def jobs(words: list[str]) -> Iterator[list[str]]:
    """The overrides of each job of a sweep over listed values, as from Hydra's basic sweeper."""
    sets: list[list[str]] = []
    for override in OverridesParser.create().parse_overrides(words):
        if override.is_discrete_sweep():
            key = override.get_key_element()
            sets.append([f"{key}={value}" for value in override.sweep_string_iterator()])
        else:
            sets.append([str(override.input_line)])
    return map(list, itertools.product(*sets))
