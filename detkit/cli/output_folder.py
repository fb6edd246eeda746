"""The output folder of a command."""

from __future__ import annotations

import os
from pathlib import Path

from detkit.errors import UserError


def make_folder(folder: Path) -> Path:
    """Create the folder before the work starts, so that no results are lost.

    Raises:
        UserError: It cannot be created or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(_refusal(folder, error.strerror or str(error))) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(_refusal(folder, "Permission denied"))
    return folder


def _refusal(folder: Path, reason: str) -> str:
    return (
        f"output={folder} cannot be written ({reason}): choose an output=FOLDER that you may "
        "write to."
    )


def permission_text(error: PermissionError) -> str:
    """The message for a permission error that no command has handled."""
    return (
        f"'{error.filename}': {error.strerror}. To write elsewhere, start detkit in a folder where "
        "you may write, or choose one with output=FOLDER (run_folder=FOLDER for a training). To "
        "read the file, change its permissions."
    )
