"""A job of a sweep: a frozen run folder, and a record of its state."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from detkit.errors import UserError
from detkit.files import Lock, lock, write_atomically
from detkit.runs.layout import RunFolder

ENDED = ("done", "pruned")  # what is not started again
STATES = ("waiting", "running", "done", "failed", "stopped", "pruned")
_TRIES, _PAUSE = 3, 0.02


class JobTakenError(UserError):
    """Another process runs the job, or has run it."""


class JobFailedError(UserError):
    """A job of a sweep failed; its record and its output have the reason."""


@dataclass
class Job:
    """A job of a sweep, as its folder records it.

    Attributes:
        folder: The run folder; the job starts from its `config.yaml` alone.
        id: Hexadecimal digits of whatever affects its result; equal for equal configurations.
        words: Its overrides of the swept keys.
        state: One of `STATES`.
        devices: The devices of its last start.
        started: Time of its last start, in ISO format.
        ended: Time of its end.
        seconds: Duration of all attempts together.
        attempts: Number of starts.
        exit_code: Exit code of the last attempt.
        error: The error, in one line.
    """

    folder: Path
    id: str
    words: list[str] = field(default_factory=list)
    state: str = "waiting"
    devices: str = ""
    started: str | None = None
    ended: str | None = None
    seconds: float = 0.0
    attempts: int = 0
    exit_code: int | None = None
    error: str | None = None

    @classmethod
    def load(cls, folder: Path) -> Job:
        """Read a job; it is `stopped` if it was running and all its processes were killed.

        Raises:
            UserError: The folder holds no job.
        """
        file = RunFolder(folder).job
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            values = {f.name: content[f.name] for f in fields(cls) if f.name in content}
            job = cls(**{**values, "folder": folder})
        except (OSError, ValueError, TypeError) as error:
            raise UserError(f"{file}: is no record of a sweep's job: {error}.") from error
        if job.state == "running" and job.is_free():
            job.state = "stopped"
            job._end_at_last_trace()
        return job

    def save(self) -> None:
        """Write the record atomically."""
        content = {name: value for name, value in asdict(self).items() if name != "folder"}
        text = json.dumps(content, indent=1, ensure_ascii=False)
        write_atomically(RunFolder(self.folder).job, text)

    def take(self) -> IO[bytes] | None:
        """Take the job: return an open lock file, or None if another process has the job.

        The system releases it when the last process that has it open ends, however it ends.
        """
        if not _is_unlocked(RunFolder(self.folder).lock):  # somebody trains in it by hand
            return None
        file = RunFolder(self.folder).job_lock.open("ab")
        for _ in range(_TRIES):  # since `is_free` of another process has it for a moment
            if _lock(file):
                return file
            time.sleep(_PAUSE)
        file.close()
        return None

    def is_free(self) -> bool:
        """Whether no sweep runs the job, on any machine that shares its folder."""
        return _is_unlocked(RunFolder(self.folder).job_lock)

    @property
    def output(self) -> Path:
        """The file with the output of the job."""
        return RunFolder(self.folder).job_output

    @property
    def title(self) -> str:
        """Its name in messages."""
        return " ".join(self.words) or self.folder.name

    def score(self) -> float | None:
        """AP of the best checkpoint, or the metric's first number; None before there is any."""
        try:
            numbers = json.loads(RunFolder(self.folder).results.read_text(encoding="utf-8"))
            first = next(iter(numbers.values()), None)
            return float(numbers.get("AP", first))
        except (OSError, ValueError, TypeError, AttributeError):
            return None

    def _end_at_last_trace(self) -> None:
        """For a job that could not record its end, use the time of its last output instead."""
        run = RunFolder(self.folder)
        traces = [run.job_output, run.metrics_log, run.last_checkpoint]
        times = [trace.stat().st_mtime for trace in traces if trace.is_file()]
        if not times or self.started is None:
            return
        last, started = datetime.fromtimestamp(max(times)), datetime.fromisoformat(self.started)
        self.ended = last.isoformat(timespec="seconds")
        self.seconds += max((last - started).total_seconds(), 0.0)


def _lock(file: IO[Any]) -> bool:
    """Lock an open file; on a file system without locks, pretend to succeed."""
    return lock(file) is not Lock.IN_USE


def _is_unlocked(path: Path) -> bool:
    try:
        with path.open("rb+") as file:
            return _lock(file)
    except OSError:
        return True
