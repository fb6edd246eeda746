"""Lock a run folder so that only one process trains in it."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from detkit.errors import UserError
from detkit.files import Lock, lock
from detkit.runs.layout import RunFolder

_log = logging.getLogger("detkit.training")


class FolderInUseError(UserError):
    """Another process trains in the run folder."""


@contextmanager
def training_lock(folder: Path) -> Iterator[None]:
    """Lock a run folder; the system releases the lock when the process ends, however it ends.

    On a file system without locks, the training runs without one.

    Raises:
        FolderInUseError: Another process holds it.
    """
    with RunFolder(folder).lock.open("a+", encoding="utf-8") as file:
        result = lock(file)
        if result is Lock.IN_USE:
            file.seek(0)
            raise FolderInUseError(
                f"run_folder={folder}: process {file.read().strip() or 'of another machine'} is "
                "training in it: wait for its end, or choose another run_folder."
            )
        if result is Lock.UNSUPPORTED:
            _log.info("%s: this file system has no locks", folder)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
