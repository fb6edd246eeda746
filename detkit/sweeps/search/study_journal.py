"""The file that holds an Optuna study; needs Optuna."""

from __future__ import annotations

import os
from pathlib import Path

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

from detkit.errors import UserError

_LINE_START = b'{"op_code":'  # of every line of a journal
_REMEDY = "choose another hydra.sweeper.storage."


def open_journal(file: Path) -> JournalStorage:
    """Open a study's journal, or prepare a new one.

    The lock is a symbolic link, because network file systems create those atomically too. A last
    line that a kill or a full disk cut short is removed: Optuna would append to it, and could then
    no longer read the journal.

    Raises:
        UserError: The file is not an Optuna journal, or it is damaged.
    """
    lock = JournalFileSymlinkLock(str(file))
    if file.is_file():
        lock.acquire()
        try:
            content = file.read_bytes()
            if not content.startswith(_LINE_START[: len(content)]):
                raise UserError(f"{file}: is no journal of an Optuna study: {_REMEDY}")
            os.truncate(file, content.rfind(b"\n") + 1)
        finally:
            lock.release()
    try:
        return JournalStorage(JournalFileBackend(str(file), lock_obj=lock))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{file}: this journal of a study is damaged ({error}): {_REMEDY}"
        ) from error
