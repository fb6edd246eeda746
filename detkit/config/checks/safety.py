"""Refuse configurations that could run code: in pages, overrides and checkpoints.

Hydra calls what its own block names (`_target_` of launchers, sweepers and callbacks), logging
calls handlers by `class` and `()`, and `env_set` and `searchpath` reach other processes and
folders. So of the block `hydra:` only the few keys below are taken from anyone but detkit, and the
rest of a configuration is plain values and names of registered parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

from detkit.errors import ConfigError

CODE_KEYS = ("_target_", "()")  # keys by which Hydra and logging call what a config names
RUNS_NOTHING = "a configuration builds registered parts by `name`, nothing else"
HEADERS = (None, "_global_", "_group_")
HYDRA_GROUPS = ("launcher", "sweeper", "job_logging", "hydra_logging")
HYDRA_KEYS = (
    *("sweep.dir", "sweep.subdir", "output_subdir", "job.name", "job.chdir", "verbose"),
    *("launcher", "sweeper"),
)
_RUN_DIR = "${run_folder}"  # as in detkit's own root pages, which a user may copy
# `${key}` and `${key.other}`, `${now:...}` and `${hydra:...}`: what reads nothing from outside.
_HARMLESS = re.compile(r"\$\{\s*(?:(?:now|hydra):[\w.%: -]*|[\w.\[\]-]+)\s*\}")


class Trust(Enum):
    """The trust in a page."""

    DETKIT = "ours"
    USER = "a page of the folder `conf` where detkit is started"
    STRANGER = "a page of a folder that was named, or a checkpoint: maybe somebody else's"


def refuse_code(content: Any, where: str) -> None:
    """Raise ConfigError when anything inside a value could make Hydra or logging call something."""
    for path, key, value in _entries(content):
        if key in CODE_KEYS:
            raise ConfigError(
                [
                    f"{where}: '{'.'.join((*path, key))}: {value}' is refused: {RUNS_NOTHING}; "
                    "register a part to use your own code."
                ]
            )


def refuse_inner_defaults(content: Mapping[str, Any], where: str) -> None:
    """Raise ConfigError for a nested defaults list, because it could choose anything."""
    for path, key, _ in _entries(content):
        if key == "defaults" and path:
            raise ConfigError(
                [
                    f"{where}: '{'.'.join((*path, key))}' is refused: only a page has a defaults "
                    "list, at its top."
                ]
            )


def refuse_in_page(content: Mapping[str, Any], package: str | None, where: str, by: Trust) -> None:
    """Raise ConfigError for content that only detkit's own pages may have.

    Args:
        content: The page's mapping, its defaults list included.
        package: What its header `# @package` says.
        where: The page, for messages.
        by: Whose page it is.
    """
    refuse_code(content, where)
    refuse_inner_defaults(content, where)
    if by is Trust.DETKIT:
        return
    if package not in HEADERS:
        raise ConfigError(
            [
                f"{where}: the header '# @package {package}' is refused: a page lands in the group "
                "of its folder, or at the root with '# @package _global_'."
            ]
        )
    for group in _default_groups(content.get("defaults")):
        refuse_group(group, f"{where}: defaults", by)
    if "hydra" in content:
        refuse_hydra(content["hydra"], where, by)
    if by is Trust.STRANGER:
        refuse_outside_values(content, where)


def refuse_group(group: str, where: str, by: Trust = Trust.USER) -> None:
    """Raise ConfigError when a choice of a group would put a page where code is chosen."""
    name = group.strip().lstrip("/")
    if "@" in name:
        raise ConfigError(
            [f"{where}: '{group}' is refused: a page lands in its folder's group; leave out @."]
        )
    if ".." in name.split("/"):
        raise ConfigError([f"{where}: '{group}' is refused: a page must be in a folder of pages."])
    path = name.split("/")
    allowed = () if by is Trust.STRANGER else HYDRA_GROUPS
    if path[0] == "hydra" and "/".join(path[1:]) not in allowed:
        hint = f"; of Hydra's groups there are {', '.join(allowed)}" if allowed else ""
        raise ConfigError([f"{where}: '{group}' is refused, since it could run code{hint}."])


def refuse_hydra(block: Any, where: str, by: Trust = Trust.USER) -> None:
    """Raise ConfigError for what detkit takes from nobody in the block `hydra`."""
    if by is Trust.STRANGER:
        raise ConfigError(
            [
                f"{where}: 'hydra' is refused: a page in a folder from --config-dir cannot "
                "configure Hydra; set these keys on the command line."
            ]
        )
    if not isinstance(block, Mapping):
        raise ConfigError([f"{where}: 'hydra' is refused: expected a mapping of keys to values."])
    for path, value in _leaves(block, ()):
        name = ".".join(path)
        if name == "run.dir" and value == _RUN_DIR:
            continue
        if name == "run.dir":
            raise ConfigError([f"{where}: 'hydra.run.dir' has no effect: set run_folder={value}."])
        if not any(name == key or name.startswith(f"{key}.") for key in HYDRA_KEYS):
            raise ConfigError(
                [
                    f"{where}: 'hydra.{name}' is refused, because it could run code; the allowed "
                    f"settings of Hydra are {', '.join(HYDRA_KEYS)}."
                ]
            )
        hidden = any(key.startswith("_") or key == "()" for key in path)
        if hidden or (path[0] in ("launcher", "sweeper") and "${" in str(value)):
            raise ConfigError([f"{where}: 'hydra.{name}' is refused: {RUNS_NOTHING}."])
        if path[:2] == ("sweeper", "params") and re.match(r"[+~]*hydra\b", ".".join(path[2:])):
            raise ConfigError([f"{where}: 'hydra.{name}' is refused: a sweep has keys of the run."])


def refuse_outside_values(content: Any, where: str) -> None:
    """Raise ConfigError for interpolations that read something outside the configuration.

    `${oc.env:NAME}` would put an environment variable, a password maybe, into the run folder and
    into every checkpoint.
    """
    for path, value in _leaves(content, ()):
        if isinstance(value, str) and "${" in _HARMLESS.sub("", value):
            raise ConfigError(
                [
                    f"{where}: '{'.'.join(path)}: {value}' is refused: a page of a named folder "
                    "(--config-dir) may point at keys of the configuration, ${key}, and read "
                    "nothing else; give the value on the command line."
                ]
            )


def refuse_in_checkpoint(config: Any, where: str) -> None:
    """Raise ConfigError for anything but plain values in a checkpoint's configuration."""
    if not isinstance(config, Mapping):
        raise ConfigError([f"{where}: its configuration is not a mapping of keys to values."])
    refuse_code(config, where)
    for path, key, _ in _entries(config):
        if key == "defaults":
            name = ".".join((*path, key))
            raise ConfigError([f"{where}: '{name}' is refused: a run's configuration has none."])
    for path, value in _leaves(config, ()):
        if isinstance(value, str) and "${" in value:
            raise ConfigError(
                [
                    f"{where}: '{'.'.join(path)}: {value}' is refused: a run's configuration holds "
                    "values, and nothing to be looked up."
                ]
            )


def refuse_composed(hydra: Mapping[str, Any]) -> None:
    """Raise ConfigError when Hydra's composed block would run anything but launcher and sweeper.

    What the pages and words could say has been refused one by one; this looks at what came of it.
    """
    wrong = [key for key in ("callbacks", "searchpath") if hydra.get(key)]
    job = hydra.get("job")
    if isinstance(job, Mapping) and job.get("env_set"):
        wrong.append("job.env_set")
    for path, key, _ in _entries(hydra):
        if key in CODE_KEYS and path not in (("launcher",), ("sweeper",)):
            wrong.append(".".join((*path, key)))
    if wrong:
        raise ConfigError([f"hydra.{key} is refused: {RUNS_NOTHING}." for key in wrong])


def _default_groups(entries: Any) -> Iterator[str]:
    """The groups and pages that a defaults list names, without `override` and `optional`."""
    for entry in entries if isinstance(entries, list) else []:
        for name, option in entry.items() if isinstance(entry, Mapping) else [(entry, "")]:
            group = re.sub(r"^\s*((override|optional)\s+)*", "", str(name))
            yield group
            options = option if isinstance(option, list) else [option]
            yield from (str(value) for value in options if value not in (None, ""))


def _entries(
    content: Any, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], str, Any]]:
    """(path, key, value) of every key at any depth, in lists too."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield path, str(key), value
            yield from _entries(value, (*path, str(key)))
    elif isinstance(content, list | tuple):
        for value in content:
            yield from _entries(value, path)


def _leaves(content: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """(path, value) of every value, and of every empty mapping; also keys that are not plain."""
    if isinstance(content, Mapping) and content:
        for key, value in content.items():
            yield from _leaves(value, (*path, *str(key).split(".")))
    elif isinstance(content, list | tuple) and content:
        for value in content:
            yield from _leaves(value, path)
    else:
        yield path, content
