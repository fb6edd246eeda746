"""Progress of the running jobs of a sweep."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from types import TracebackType

from detkit.runs.layout import RunFolder
from detkit.runs.progress_file import read_status
from detkit.sweeps.jobs.job import Job
from detkit.terminal import StatusLine, columns, is_terminal
from detkit.text import counted, duration

_REFRESH = 1.0  # seconds between two updates of the status line
_SHORTEST_TITLE = 12  # characters of a title that a status line keeps
_LINE_EVERY = 300.0  # seconds between two lines without a terminal
_log = logging.getLogger("detkit.sweeps")


def job_progress(job: Job) -> str:
    """Epoch and time left of a running job; "starting" before its training begins."""
    status = read_status(job.folder) if _is_of_this_attempt(job) else None
    if status is None:
        return "starting"
    if status.state == "measuring":
        return "measuring the best checkpoint"
    total = f"/{status.epochs}" if status.epochs else ""
    parts = [f"epoch {status.epoch}{total}"]
    if status.epochs is None:
        parts.append(f"{status.fraction:.0%}")
    if status.seconds_left is not None:
        parts.append(f"{duration(status.seconds_left)} left")
    return ", ".join(parts)


def _is_of_this_attempt(job: Job) -> bool:
    """Whether the status file was written since the job was last started."""
    try:
        modified = RunFolder(job.folder).progress.stat().st_mtime
    except OSError:
        return False
    if job.started is None:
        return True
    return modified >= datetime.fromisoformat(job.started).timestamp()


class ProgressLine:
    """Shows the progress of running jobs: a status line in a terminal, else occasional lines.

    While this context is open, messages of the sweep scroll above the status line.
    """

    def __init__(self) -> None:
        self._status: StatusLine | None = None
        self._shown = time.monotonic()

    def __enter__(self) -> ProgressLine:
        """Open the status line."""
        if is_terminal(sys.stderr):
            self._status = StatusLine(sys.stderr)
            self._status.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Restore the terminal."""
        if self._status is not None:
            self._status.close()

    def show(self, running: Sequence[Job], waiting: int | None = None) -> None:
        """Update the line if it is due.

        Args:
            running: The running jobs.
            waiting: The number of jobs that have not started; None if unknown.
        """
        every = _LINE_EVERY if self._status is None else _REFRESH
        if time.monotonic() - self._shown < every:
            return
        self._shown = time.monotonic()
        width = None if self._status is None else columns(sys.stderr) - 1
        text = running_text(running, waiting, width)
        if self._status is not None:
            self._status.show(text)
        elif text:
            _log.info("%s", text)


def running_text(running: Sequence[Job], waiting: int | None, width: int | None = None) -> str:
    """The numbers of running and waiting jobs, and the progress of each running one.

    Args:
        running: The running jobs.
        waiting: The number of jobs that have not started; None if unknown.
        width: Characters of the line; titles are cut at their beginning to fit. None keeps them
            whole.
    """
    if not running:
        return ""
    counts = counted(len(running), "job") + " running"
    if waiting:
        counts += f", {waiting:,} waiting"
    states = [job_progress(job) for job in running]
    titles = [job.title for job in running]
    if width is not None:
        room = (width - len(counts) - sum(len(state) + 4 for state in states)) // len(running)
        titles = [_ending(title, max(room, _SHORTEST_TITLE)) for title in titles]
    parts = (f"{title}: {state}" for title, state in zip(titles, states, strict=True))
    return f"{counts}: {'; '.join(parts)}"


def _ending(title: str, length: int) -> str:
    """The end of a title, which differs between jobs."""
    return title if len(title) <= length else f"…{title[1 - length :]}"
