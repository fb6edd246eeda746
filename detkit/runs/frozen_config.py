"""The configuration of a run, frozen in one plain file. A run is started from nothing else."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from detkit.config import plugins
from detkit.config.checks.conflicts import refuse_combinations
from detkit.config.checks.safety import refuse_code
from detkit.config.checks.schema import check
from detkit.config.composition import composing
from detkit.config.page_syntax import parse, read_text
from detkit.config.root import Train
from detkit.errors import UserError
from detkit.files import write_atomically
from detkit.runs.layout import CONFIG, RunFolder
from detkit.runs.new_folder import not_writable_text, require_free
from detkit.runs.older_config import with_current_keys


def freeze(config: dict[str, Any], restart: bool = False) -> Path:
    """Write a checked configuration into its run folder and return the folder.

    Args:
        config: The configuration.
        restart: Whether the run that is in the folder begins again.

    Raises:
        UserError: The folder holds another run or the user's files, or cannot be written.
    """
    folder = Path(config["run_folder"]).resolve()
    if config["ckpt"] is None and not restart:
        require_free(folder, config["run_folder"])
    config = {**_with_absolute_paths(config), "run_folder": str(folder)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
        write_atomically(RunFolder(folder).config, text)
    except OSError as error:
        raise UserError(not_writable_text(folder, error)) from error
    return folder


def _with_absolute_paths(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration with paths that are valid in every working directory."""
    data, weights = config.get("data"), config.get("weights")
    changes: dict[str, Any] = {}
    if isinstance(data, dict) and isinstance(data.get("path"), str):
        changes["data"] = {**data, "path": os.path.abspath(Path(data["path"]).expanduser())}
    if isinstance(weights, str) and Path(weights).expanduser().exists():  # else a published name
        changes["weights"] = os.path.abspath(Path(weights).expanduser())
    proposer = (config.get("model") or {}).get("proposer") or {}
    if isinstance(proposer.get("file"), str):
        file = os.path.abspath(Path(proposer["file"]).expanduser())
        changes["model"] = {**config["model"], "proposer": {**proposer, "file": file}}
    return {**config, **changes}


def read_frozen(folder: Path) -> dict[str, Any]:
    """Read the configuration in a run folder and check it again; imports no plugin by itself.

    Raises:
        UserError: There is none, it fails the check, or it lists plugins that the user has not
            allowed.
    """
    with composing() as composition:
        content, tree = _read(folder)
        composition.origins.record(RunFolder(folder).config, tree, ())
        require_plugins(content, folder)
        config = check(Train, content)
    refuse_combinations(config["trainer"], config.get("model"), config["freeze"])
    return config


def require_plugins(content: dict[str, Any], folder: Path) -> None:
    """Refuse plugins that a run folder lists and the user has not allowed."""
    plugin_list = content.get("plugins")
    names = map(str, plugin_list if isinstance(plugin_list, list) else [])
    plugins.require_loaded(names, str(RunFolder(folder).config))


def read_config(folder: Path) -> dict[str, Any]:
    """Read the configuration in a run folder without the check; it may not name code.

    Raises:
        UserError: There is none, or it cannot be read.
    """
    return _read(folder)[0]


def _read(folder: Path) -> tuple[dict[str, Any], yaml.Node | None]:
    file = RunFolder(folder).config
    if not file.is_file():
        raise UserError(f"{folder}: there is no {CONFIG}; give a run folder.")
    text = read_text(file)
    tree = parse(file, text)
    content: dict[str, Any] = {} if tree is None else yaml.safe_load(text)
    refuse_code(content, str(file))
    return with_current_keys(content), tree
