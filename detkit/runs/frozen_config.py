"""A run's configuration as one plain file, the only thing that a run is started from."""

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
from detkit.files import PART, write_atomically
from detkit.runs import claim
from detkit.runs.claim import not_written_text

FILE = "config.yaml"
CHECKPOINTS = "checkpoints"
_KEYS = {"model", "data", "run_folder"}  # by which a run's file is told from others of its name
# What a start leaves that was ended before it trained.
_LEFT = (FILE, "train.log", "environment.json", ".lock", claim.FILE)


def freeze(config: dict[str, Any], again: bool = False) -> Path:
    """Write a checked configuration into its run folder and return the folder.

    Args:
        config: The configuration.
        again: Whether the run that lies in the folder begins again.

    Raises:
        UserError: Files of another run or of the user are there, or the folder cannot be written.
    """
    folder = Path(config["run_folder"]).resolve()
    file = folder / FILE
    if config["ckpt"] is None and not again:
        _require_free(folder, config["run_folder"])
    config = {**_absolute(config), "run_folder": str(folder)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(file, yaml.safe_dump(config, sort_keys=False, allow_unicode=True))
    except OSError as error:
        raise UserError(not_written_text(folder, error)) from error
    return folder


def _absolute(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration with absolute paths, valid in every working folder."""
    data, weights = config.get("data"), config.get("weights")
    changed: dict[str, Any] = {}
    if isinstance(data, dict) and isinstance(data.get("path"), str):
        changed["data"] = {**data, "path": os.path.abspath(Path(data["path"]).expanduser())}
    if isinstance(weights, str) and Path(weights).expanduser().exists():  # else a published name
        changed["weights"] = os.path.abspath(Path(weights).expanduser())
    return {**config, **changed}


def _require_free(folder: Path, typed: str) -> None:
    """Refuse a folder in which a run lies, or something that is no run."""
    if has_trained(folder) and is_run(folder):
        raise UserError(
            f"run_folder={typed}: another run is there; resume it with ckpt={typed}, or choose "
            "another run_folder."
        )
    if not folder.is_dir() or is_run(folder):
        return
    parts = {f"{stem}{PART}" for name in _LEFT for stem in (name, Path(name).stem)}
    removable = parts.union(_LEFT[1:])
    files = sorted(path.name for path in folder.iterdir() if path.name not in removable)
    if files:
        raise UserError(
            f"run_folder={typed}: holds {files[0]!r} and is no run of detkit: choose a folder "
            "that is empty or not there yet."
        )


def is_run(folder: Path) -> bool:
    """Whether the configuration of a run lies in a folder."""
    try:
        content = yaml.safe_load((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return False
    return isinstance(content, dict) and content.keys() >= _KEYS


def checkpoint_to_go_on(requested: str | None, folder: Path) -> str | None:
    """The checkpoint that a start of a frozen folder goes on from; None where it begins.

    A folder that is started again as it is, by torchrun, SLURM or a hand, goes on from what its
    earlier starts have saved, and no longer from what was given when it was frozen.
    """
    last = folder / CHECKPOINTS / "last.ckpt"
    if not last.is_file():
        return requested
    saved_since = last.stat().st_mtime > (folder / FILE).stat().st_mtime
    return str(last) if requested is None or saved_since else requested


def has_trained(folder: Path) -> bool:
    """Whether a training has written anything into a run folder that must not be lost."""
    return any((folder / name).exists() for name in ("metrics.csv", CHECKPOINTS, "non_finite"))


def discard(folder: Path) -> None:
    """Take back the folder of a run that was refused before it trained."""
    if has_trained(folder):
        return
    for name in _LEFT:
        (folder / name).unlink(missing_ok=True)
    for empty in (folder, folder.parent):
        if empty.is_dir() and not any(empty.iterdir()):
            empty.rmdir()


def read_frozen(folder: Path) -> dict[str, Any]:
    """The configuration in a run folder, checked again; it imports nothing by itself.

    Raises:
        UserError: The folder holds none, it does not pass the check, or it lists plugins that the
            user has not allowed.
    """
    with composing() as composition:
        content, tree = _read(folder)
        composition.origins.record(folder / FILE, tree, ())
        require_plugins(content, folder)
        config = check(Train, content)
    refuse_combinations(config["trainer"])
    return config


def require_plugins(content: dict[str, Any], folder: Path) -> None:
    """Refuse the plugins that a run folder lists and that the user has not allowed."""
    listed = content.get("plugins")
    named = map(str, listed if isinstance(listed, list) else [])
    plugins.require_loaded(named, str(folder / FILE))


def read_written(folder: Path) -> dict[str, Any]:
    """The configuration in a run folder as it stands there, not checked; it names no code.

    Raises:
        UserError: The folder holds none, or it cannot be read.
    """
    return _read(folder)[0]


def _read(folder: Path) -> tuple[dict[str, Any], yaml.Node | None]:
    file = folder / FILE
    if not file.is_file():
        raise UserError(f"{folder}: there is no {FILE}; give a run folder.")
    text = read_text(file)
    tree = parse(file, text)
    content: dict[str, Any] = {} if tree is None else yaml.safe_load(text)
    refuse_code(content, str(file))
    return content, tree
