"""The words of `detkit data`: a folder, and KEY=VALUE checked against a constructor."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

import yaml

from detkit import assembly, registry
from detkit.config.checks.schema import check
from detkit.data.audit.evidence import Split
from detkit.data.splits import find_split
from detkit.errors import UserError
from detkit.interfaces import Reader

_MOST_FOLDERS = 100  # reports of data sets of one name
_TEXTS = ("path", "output")  # never read as YAML: `2024` is a folder


def options(root: Callable[..., Any], words: list[str]) -> dict[str, Any]:
    """The values of a command's options, completed and checked.

    Args:
        root: Its arguments are the options; the word without `=` is its `path`.
        words: What the user wrote after the command.

    Raises:
        UserError: A word is no option, or its value does not fit.
    """
    registry.load_plugins()
    node: dict[str, Any] = {}
    overrides = [word if "=" in word else f"path={word}" for word in words]
    for word in overrides:
        key, _, text = word.partition("=")
        *parents, last = key.split(".")
        if not parents and key in node and key in _TEXTS:
            raise UserError(f"{key} is given twice: '{node[key]}' and '{text}'.")
        branch = node
        for parent in parents:
            inner = branch.setdefault(parent, {})
            branch[parent] = branch = inner if isinstance(inner, dict) else {"name": inner}
        value = _value(key, text)
        if isinstance(branch.get(last), dict) and not isinstance(value, dict):
            branch[last]["name"] = value  # reader.images=... reader=coco
        else:
            branch[last] = value
    return check(root, node, overrides)


def own_options(root: Callable[..., Any], words: list[str]) -> tuple[dict[str, Any], list[str]]:
    """The values of a command's options, and the words that are not its own.

    Args:
        root: Its arguments are the options.
        words: The command line: the command's options, mixed with those of `detkit train`.

    Raises:
        UserError: A value does not fit.
    """
    names = signature(root).parameters
    of_command = [word for word in words if word.partition("=")[0] in names and "=" in word]
    return options(root, of_command), [word for word in words if word not in of_command]


def _value(key: str, text: str) -> Any:
    if key in _TEXTS:
        return None if text == "null" else text.strip("'\"")
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{key}={text}: the value is no YAML; quote it.") from error


def build_reader(node: dict[str, Any], *, masks: bool = False) -> Reader:
    """The reader that was chosen.

    Args:
        node: The reader with its settings.
        masks: Whether it reads masks, if its format has any.
    """
    reader: Reader = assembly.build("reader", node, {"masks": masks}, ("reader",))
    return reader


def training_split(splits: Sequence[Split]) -> Split:
    """The split to train on, or the first split if there is none with that name."""
    name = find_split("train", [split.name for split in splits])
    return next((split for split in splits if split.name == name), splits[0])


def output_folder(name: str | None, data: Path) -> Path | None:
    """The folder for results, not created yet; None without results.

    Raises:
        UserError: It is inside the data folder.
    """
    if name is None:
        return None
    folder = Path(name).expanduser()
    if folder.resolve().is_relative_to(data.resolve()):
        raise UserError(
            f"output={name} is inside the data folder, where detkit would read the pictures as "
            "data: choose another folder, or output=null to write nothing."
        )
    return folder


def report_folder(folder: Path, file: str, data: Path) -> tuple[Path, str]:
    """The folder for a report, and the reason if it is not the requested one.

    A folder with the report of another data set stays unchanged. The new report then goes into a
    folder beside it, named after both, so that a second check of the same data set replaces its own
    report.

    Args:
        folder: The requested folder.
        file: The JSON file in it whose `path` names the data set.
        data: The data set of the new report.

    Raises:
        UserError: All folders beside it hold reports of other data sets.
    """
    resolved = data.resolve()
    first = _reported_data(folder / file)
    beside = folder.with_name(f"{folder.name}_{resolved.name}")
    numbered = (Path(f"{beside}_{number}") for number in range(2, _MOST_FOLDERS))
    for candidate in (folder, beside, *numbered):
        owner = _reported_data(candidate / file)
        if owner is None or owner.resolve() == resolved:
            reason = f" (not in {folder}, which holds the report of '{first}')"
            return candidate, reason * (candidate != folder)
    raise UserError(
        f"output={folder} and the folders beside it hold reports of other data sets: choose "
        "another output=FOLDER, or output=null to write nothing."
    )


def _reported_data(file: Path) -> Path | None:
    """The data set of a report; None if there is no report."""
    try:
        return Path(json.loads(file.read_text(encoding="utf-8"))["path"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
