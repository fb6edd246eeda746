"""A job of a sweep: a frozen run folder, and beside its configuration what has become of it."""

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
    """A job of a sweep, as its folder has it.

    Attributes:
        folder: The run folder; its `config.yaml` is all that the job is started from.
        id: Hexadecimal digits of what makes its result; the same configuration has the same.
        words: What it sets of the swept keys.
        state: One of `STATES`.
        devices: What it runs on, or ran on last.
        started: When it was started last, in ISO form.
        ended: When it ended.
        seconds: How long it ran, all attempts together.
        attempts: How often it was started.
        exit_code: Of the last attempt.
        error: What went wrong, in one line.
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
        """Read a job; one that was running when all that ran it was killed is `stopped`.

        Raises:
            UserError: The folder holds no job.
        """
        file = RunFolder(folder).job
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            known = {f.name: content[f.name] for f in fields(cls) if f.name in content}
            job = cls(**{**known, "folder": folder})
        except (OSError, ValueError, TypeError) as error:
            raise UserError(f"{file}: is no record of a sweep's job: {error}.") from error
        if job.state == "running" and job.is_free():
            job.state = "stopped"
            job._end_at_last_trace()
        return job

    def save(self) -> None:
        """Write the record; who reads it meanwhile sees the one before or this one."""
        content = {name: value for name, value in asdict(self).items() if name != "folder"}
        text = json.dumps(content, indent=1, ensure_ascii=False)
        write_atomically(RunFolder(self.folder).job, text)

    def take(self) -> IO[bytes] | None:
        """A file that keeps the job for whoever has it open; None where somebody else has it.

        The system lets go of it when the last process that has it open has ended, however it does.
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
        """The file with all that the job has printed."""
        return RunFolder(self.folder).job_output

    @property
    def title(self) -> str:
        """What it is called in messages."""
        return " ".join(self.words) or self.folder.name

    def score(self) -> float | None:
        """AP of the best checkpoint, or what the metric has instead; None where nothing is."""
        try:
            numbers = json.loads(RunFolder(self.folder).results.read_text(encoding="utf-8"))
            first = next(iter(numbers.values()), None)
            return float(numbers.get("AP", first))
        except (OSError, ValueError, TypeError, AttributeError):
            return None

    def _end_at_last_trace(self) -> None:
        """Take the last sign of life of a job that could not record its end for that end."""
        run = RunFolder(self.folder)
        traces = [run.job_output, run.metrics_log, run.last_checkpoint]
        times = [trace.stat().st_mtime for trace in traces if trace.is_file()]
        if not times or self.started is None:
            return
        last, started = datetime.fromtimestamp(max(times)), datetime.fromisoformat(self.started)
        self.ended = last.isoformat(timespec="seconds")
        self.seconds += max((last - started).total_seconds(), 0.0)


def _lock(file: IO[Any]) -> bool:
    """Lock an open file; a file system without locks is no reason not to train."""
    return lock(file) is not Lock.IN_USE


def _is_unlocked(path: Path) -> bool:
    try:
        with path.open("rb+") as file:
            return _lock(file)
    except OSError:
        return True
