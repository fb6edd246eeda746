"""The folder of a new run: refuse one that is in use, and remove one whose run never trained."""

from __future__ import annotations

from pathlib import Path

import yaml

from detkit.errors import UserError
from detkit.files import PART
from detkit.runs.layout import CLAIM, CONFIG, ENVIRONMENT, LOCK, LOG, PROGRESS, RunFolder

_KEYS = {"model", "data", "run_folder"}  # which other files named config.yaml rarely have
# The files that exist before the first step of a training has ended.
_EARLY = (CONFIG, LOG, ENVIRONMENT, LOCK, CLAIM, PROGRESS)


def is_run(folder: Path) -> bool:
    """Whether a folder holds the configuration of a run."""
    try:
        content = yaml.safe_load(RunFolder(folder).config.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return False
    return isinstance(content, dict) and content.keys() >= _KEYS


def require_free(folder: Path, typed: str) -> None:
    """Refuse a folder that holds another run or the user's own files.

    Args:
        folder: The folder of the new run.
        typed: The same folder as the user typed it.

    Raises:
        UserError: Naming the run or the first file.
    """
    if RunFolder(folder).has_trained and is_run(folder):
        raise UserError(
            f"run_folder={typed}: another run is there; resume it with ckpt={typed}, or choose "
            "another run_folder."
        )
    if not folder.is_dir() or is_run(folder):
        return
    parts = {f"{stem}{PART}" for name in _EARLY for stem in (name, Path(name).stem)}
    ours = {*_EARLY, *parts} - {CONFIG}
    files = sorted(path.name for path in folder.iterdir() if path.name not in ours)
    if files:
        raise UserError(
            f"run_folder={typed}: contains {files[0]!r} but no run of detkit: choose an empty or "
            "new folder."
        )


def discard_untrained(folder: Path) -> None:
    """Remove the folder of a run that was refused before it trained; keep all other folders."""
    if RunFolder(folder).has_trained:
        return
    for name in _EARLY:
        (folder / name).unlink(missing_ok=True)
    for empty in (folder, folder.parent):
        if empty.is_dir() and not any(empty.iterdir()):
            empty.rmdir()


def not_writable_text(folder: Path, error: OSError) -> str:
    """The message about a run folder that cannot be written."""
    return (
        f"run_folder={folder}: cannot be written: {error.strerror}. Choose a "
        "run_folder=FOLDER that you may write to."
    )
