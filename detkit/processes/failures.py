"""Failures of a run that are no fault of the code, as one line each."""

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
# What gloo and NCCL say when a rank that they talk with has ended, or does not answer.
_LOST = ("closed by peer", "reset by peer", "remote process exit", "Timed out waiting")
_CAUGHT = "Caught "  # how PyTorch begins the text of an error that a worker raised


@contextmanager
def plain_failures(folder: Path) -> Iterator[None]:
    """Tell a full or read-only disk and lost processes in one line; other failures keep theirs.

    Args:
        folder: The run folder.

    Raises:
        UserError: With what happened, what is kept and what to do.
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
    """Another rank has ended or does not answer, whose own error comes before this one."""


class WorkerDiedError(UserError):
    """A process that loads images has died."""


@contextmanager
def plain_worker_failures() -> Iterator[None]:
    """Tell what goes wrong in the processes that load images in one line.

    Raises:
        DataError: What one of them said.
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
        is_other_signal = "signal:" in first_line and not any(
            c in first_line for c in _OUT_OF_MEMORY
        )
        if not is_other_signal:
            remedy = (
                "The machine most likely ran out of memory: lower data.workers, data.batch_size or "
                f"the image size; {remedy}"
            )
        raise WorkerDiedError(f"a loader process has died ({first_line}). {remedy}") from error


def raise_if_disk(error: OSError, folder: Path) -> None:
    """Raise a UserError where the disk is full, or where the run folder cannot be written."""
    if error.errno in _FULL:
        raise UserError(
            f"{error.filename or folder}: cannot be written: {error.strerror}. Make room. "
            f"{resume_hint(folder)}"
        ) from error
    named = error.filename is not None and folder in Path(str(error.filename)).parents
    if error.errno in _REFUSED and named:
        raise UserError(
            f"{error.filename}: cannot be written: {error.strerror}. Give yourself the right to "
            f"write there. {resume_hint(folder)}"
        ) from error


def raise_if_rank_lost(error: RuntimeError, folder: Path) -> None:
    """Raise a RankLostError where another rank has ended or does not answer."""
    text = str(error)
    if any(name in text for name in ("gloo", "NCCL")) and any(words in text for words in _LOST):
        raise RankLostError(
            "the connection to another rank is lost, which has ended or does not answer: its own "
            f"error tells why. {resume_hint(folder)}"
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")
