"""A run's configuration as one plain file, the only thing that a run is started from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from detkit.config import plugins
from detkit.config.check import check
from detkit.config.origins import origins
from detkit.config.root import Train
from detkit.config.safety import refuse_code
from detkit.config.syntax import parse, read_text
from detkit.errors import UserError

FILE = "config.yaml"
CHECKPOINTS = "checkpoints"


def freeze(config: dict[str, Any]) -> Path:
    """Write a checked configuration into its run folder and return the folder.

    Raises:
        UserError: Another run's files are there, or the folder cannot be written.
    """
    folder = Path(config["run_folder"]).resolve()
    file = folder / FILE
    if has_trained(folder) and config["ckpt"] is None:
        raise UserError(
            f"run_folder={config['run_folder']}: another run is there; resume it with "
            f"ckpt={config['run_folder']}, or choose another run_folder."
        )
    config = {**config, "run_folder": str(folder)}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
        part.write_text(text, encoding="utf-8")
        os.replace(part, file)
    except OSError as error:
        raise UserError(f"run_folder={folder}: cannot be written: {error.strerror}.") from error
    return folder


def has_trained(folder: Path) -> bool:
    """Whether a training has written anything into a run folder that must not be lost."""
    return any((folder / name).exists() for name in ("metrics.csv", CHECKPOINTS, "non_finite"))


def discard(folder: Path) -> None:
    """Take back the folder of a run that was refused before it trained."""
    if has_trained(folder):
        return
    for name in (FILE, "train.log", "environment.json"):
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
    file = folder / FILE
    if not file.is_file():
        raise UserError(f"{folder}: there is no {FILE}; give a run folder.")
    text = read_text(file)
    tree = parse(file, text)
    origins.clear()
    origins.record(file, tree, ())
    content = {} if tree is None else yaml.safe_load(text)
    refuse_code(content, str(file))
    listed = content.get("plugins")
    plugins.require_loaded(map(str, listed if isinstance(listed, list) else []), str(file))
    return check(Train, content)
