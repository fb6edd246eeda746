"""Files: replace one atomically, lock one, and show its path.

`filelock` is not used: detkit's lock files hold the process id of their owner, and child processes
inherit the lock so that a GPU stays reserved until its last user ends.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import IO, Any

PART = ".part"
_DIGEST = 16  # hexadecimal digits


@contextmanager
def replacing(path: Path, part: Path | None = None) -> Iterator[Path]:
    """Yield a path beside another; when the block succeeds, rename it to that other path.

    A reader sees the old file or the new one, never half of one. If the block fails, what it wrote
    is deleted and the old file stays. Works for folders whose target does not exist or is empty.

    Args:
        path: The file or folder to replace.
        part: The path to yield, in the same folder; several processes that replace one file at the
            same time need different ones.
    """
    part = path.with_name(path.name + PART) if part is None else part
    try:
        yield part
        os.replace(part, path)
    except BaseException:
        _delete(part)
        raise


def write_atomically(path: Path, text: str) -> None:
    """Replace the text of a file in one step."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


class Lock(Enum):
    """The result of an attempt to lock a file."""

    ACQUIRED = "acquired"
    IN_USE = "in use"  # another process has locked it
    UNSUPPORTED = "unsupported"  # the file system has no locks


def lock(file: IO[Any], *, wait: bool = False) -> Lock:
    """Lock an open file exclusively.

    The system releases the lock when the last process that inherited the open file closes it or
    ends, however it ends.

    Args:
        file: The file.
        wait: Whether to wait for another process to release it.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return Lock.IN_USE
    except OSError:
        return Lock.UNSUPPORTED
    return Lock.ACQUIRED


def files_digest(paths: Iterable[Path]) -> str:
    """The start of a hash of the contents of files, which does not depend on their names."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:_DIGEST]


def is_below(path: Path, folder: Path) -> bool:
    """Whether a path is a folder or inside it, links resolved."""
    return path.resolve().is_relative_to(folder.resolve())


def display_path(path: str | Path) -> str:
    """A path relative to the working directory if it is inside, as a user would type it."""
    path, here = Path(path), Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
