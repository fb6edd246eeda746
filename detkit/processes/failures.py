"""Report failures outside the code in one line: disk, memory, lost ranks."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from detkit.errors import DataError, UserError
from detkit.runs.resume import resume_hint

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REFUSED = (errno.EROFS, errno.EACCES, errno.EPERM)
_WORKER = "DataLoader worker"
_OUT_OF_MEMORY = ("signal: Killed", "signal: Bus error")  # the latter if shared memory is full
# Parts of the errors of gloo and NCCL when another rank has ended or does not answer.
_LOST = ("closed by peer", "reset by peer", "remote process exit", "Timed out waiting")
_CAUGHT = "Caught "  # how PyTorch begins the text of an error that a worker raised


@contextmanager
def plain_failures(folder: Path) -> Iterator[None]:
    """Report a full or read-only disk and lost processes in one line; let other errors pass.

    Args:
        folder: The run folder.

    Raises:
        UserError: What happened, what is saved, and what to do.
    """
    try:
        with plain_worker_failures():
            yield
    except WorkerDiedError as error:
        raise UserError(f"{error} {resume_hint(folder)}") from error.__cause__
    except OSError as error:
        raise_if_disk(error, folder)
        raise
    except RuntimeError as error:
        raise_if_rank_lost(error, folder)
        raise


class RankLostError(UserError):
    """Another rank has ended or does not answer; its own error is the cause of this one."""


class WorkerDiedError(UserError):
    """A process that loads images has died."""


@contextmanager
def plain_worker_failures() -> Iterator[None]:
    """Report in one line what goes wrong in the processes that load images.

    Raises:
        DataError: The error that one of them raised.
        WorkerDiedError: One has died.
    """
    try:
        yield
    except UserError as error:
        if not str(error).startswith(_CAUGHT):
            raise
        raise DataError(str(error).rpartition("Error: ")[2].strip()) from None
    except RuntimeError as error:
        if _WORKER not in str(error):
            raise
        first_line = _first_line(error)
        remedy = "data.workers=0 shows errors in the loading code."
        is_killed = any(cause in first_line for cause in _OUT_OF_MEMORY)
        if is_killed or "signal:" not in first_line:
            remedy = (
                "The machine most likely ran out of memory: lower data.workers, data.batch_size or "
                f"the image size; {remedy}"
            )
        raise WorkerDiedError(f"a loader process has died ({first_line}). {remedy}") from error


def raise_if_disk(error: OSError, folder: Path) -> None:
    """Raise a UserError if the disk is full or a file of the run folder is not writable."""
    if error.errno in _FULL:
        raise UserError(
            f"{error.filename or folder}: cannot be written: {error.strerror}. Make room. "
            f"{resume_hint(folder)}"
        ) from error
    is_inside = error.filename is not None and folder in Path(str(error.filename)).parents
    if error.errno in _REFUSED and is_inside:
        raise UserError(
            f"{error.filename}: cannot be written: {error.strerror}. Check the folder's "
            f"permissions. {resume_hint(folder)}"
        ) from error


def raise_if_rank_lost(error: RuntimeError, folder: Path) -> None:
    """Raise a RankLostError if another rank has ended or does not answer."""
    text = str(error)
    if any(name in text for name in ("gloo", "NCCL")) and any(words in text for words in _LOST):
        raise RankLostError(
            "lost the connection to another rank, which has ended or does not answer: see its own "
            f"error for the cause. {resume_hint(folder)}"
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")
