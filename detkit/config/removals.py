"""Overrides that remove a part: `KEY=null` and `~KEY`."""

from __future__ import annotations

from hydra.core.override_parser.types import Override

from detkit.config.overrides import is_group, options
from detkit.config.slots import (
    ConfigPath,
    label_family,
    part_family,
    root_arguments,
    slot_at,
)
from detkit.errors import ConfigError


def is_removal(override: Override) -> bool:
    """Whether an override is `KEY=null` or `~KEY`."""
    if override.is_delete():
        return True
    return not override.is_sweep_override() and override.value() is None


def removal(path: ConfigPath, word: str) -> str:
    """The override with which Hydra removes the value at a config path.

    Args:
        path: The config path.
        word: The user's override, `KEY=null`, `~KEY` or `KEY={}`.

    Raises:
        ConfigError: A run needs it, or it is a plain value, which would fall back to its default.
    """
    key = ".".join(path)
    if len(path) == 1:
        return _of_root(key, word)
    if slot_at(path) is not None or label_family(path) is not None:
        return f"++{key}=null"
    if not word.startswith("~") or (part_family(path) is not None and "=" not in word):
        return word
    raise _plain_value(word)


def _of_root(key: str, word: str) -> str:
    argument = root_arguments().get(key)
    is_deletion = word.startswith("~")
    if argument is None and is_group(key):  # a folder of pages, such as `experiment`
        return f"~{key}"
    if argument is None:
        return word
    if argument.by_label or (argument.slot is not None and argument.optional):
        return f"~{key}"
    if argument.slot is not None or (argument.block is not None and argument.required):
        names = ", ".join(options(key))
        raise ConfigError([f"{word.lstrip('+')}: a run needs {key}; choose one of {names}."])
    if is_deletion:
        raise _plain_value(word)
    return word


def _plain_value(word: str) -> ConfigError:
    key = word.lstrip("~").partition("=")[0]
    return ConfigError(
        [
            f"{word}: a value cannot be removed, because its default would replace it: set "
            f"{key}=VALUE, or {key}=null if null is allowed."
        ]
    )
