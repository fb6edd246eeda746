"""Claim a run folder for one process until its command ends."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import IO, Any

from detkit.errors import UserError
from detkit.files import Lock, lock
from detkit.runs.layout import RunFolder
from detkit.runs.new_folder import not_writable_text

# The name that `detkit train` generates for a run; it contains the time in seconds.
_BY_TIME = re.compile(r"\d{4}-\d{2}-\d{2}_\d{2}-\d{2}-\d{2}_")


@contextmanager
def claimed(config: dict[str, Any], restart: bool = False) -> Iterator[dict[str, Any]]:
    """Claim the folder of a run; if detkit generated its name and it is in use, claim another one.

    Args:
        config: The configuration of the run.
        restart: Whether the run that is in the folder begins again.

    Yields:
        The configuration, with the claimed folder.

    Raises:
        UserError: Another process starts a run in the folder, or it cannot be created.
    """
    folder = Path(config["run_folder"])
    try:
        if config["ckpt"] is None and not restart and _BY_TIME.match(folder.name):
            folder = _first_free(folder)
        folder.mkdir(parents=True, exist_ok=True)
        file = _locked(folder)
    except OSError as error:
        raise UserError(not_writable_text(folder, error)) from error
    with file:
        try:
            yield {**config, "run_folder": str(folder)}
        finally:
            RunFolder(folder).claim.unlink(missing_ok=True)
            with suppress(OSError):  # the folder contains a run
                folder.rmdir()


def _first_free(folder: Path) -> Path:
    """Create the folder, or the first of NAME_2, NAME_3, ... that does not exist yet."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        candidate = folder if number == 1 else folder.with_name(f"{folder.name}_{number}")
        with suppress(FileExistsError):
            candidate.mkdir()
            return candidate
    raise AssertionError("count() never ends")


def _locked(folder: Path) -> IO[bytes]:
    """Open and lock the file of the claim."""
    while True:
        file = RunFolder(folder).claim.open("ab")
        result = lock(file)
        if result is Lock.IN_USE:
            file.close()
            raise UserError(
                f"run_folder={folder}: another process uses it: wait until it ends, or choose "
                "another run_folder."
            )
        if result is Lock.UNSUPPORTED:
            return file  # train without a claim on file systems without locks
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), RunFolder(folder).claim.stat()):
                return file
        file.close()  # its last owner removed it in the meantime
