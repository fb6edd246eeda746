"""One process at a time writes into a run folder."""

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
    """Hold a run folder; the system lets go of it when the process ends, however it ends.

    A file system without locks is no reason not to train.

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
