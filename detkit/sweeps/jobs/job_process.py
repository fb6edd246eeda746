"""One attempt at a job: its process group, from the start to the record of how it ended."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO

from detkit.config import plugins
from detkit.interruption import STOP_CODES
from detkit.processes.process_group import ProcessGroup
from detkit.runs.frozen_config import read_config
from detkit.sweeps.jobs.devices import Device, devices_text, variables
from detkit.sweeps.jobs.job import Job

_KILLED = 128 + signal.SIGKILL
# Variables that launchers set for their own processes: with them a job would consider itself a rank
# of another training.
_OF_LAUNCHERS = re.compile(
    r"(LOCAL_|GROUP_|NODE_|ROLE_)?RANK$|(LOCAL_|ROLE_)?WORLD_SIZE$|MASTER_|TORCHELASTIC_|SLURM_"
    r"|DETKIT_RANK_ERROR$"
)
_TAIL = 20_000  # bytes at the end of the output to search for the error
_log = logging.getLogger("detkit.sweeps")


def training_command(job: Job) -> list[str]:
    """The command that trains a job's frozen configuration, from its last checkpoint if any."""
    return [sys.executable, "-m", "detkit.processes.run_frozen", str(job.folder)]


def process_count(job: Job) -> int:
    """The number of processes that a job trains with."""
    devices = read_config(job.folder)["trainer"]["devices"]
    return devices if isinstance(devices, int) else 1


@dataclass
class JobProcess:
    """A running job.

    Attributes:
        job: The job, whose record says that it runs.
        group: Its process group.
        devices: The devices that it uses.
        lock: The open lock file of the job; closing it releases the job.
        output_start: Size of the output file before this attempt.
        requested_state: The state that the job gets if it ends because of a stop request.
        started_at: When it started, on the monotonic clock.
    """

    job: Job
    group: ProcessGroup
    devices: list[Device]
    lock: IO[bytes]
    output_start: int
    requested_state: str | None = None
    started_at: float = field(default_factory=time.monotonic)

    @property
    def has_ended(self) -> bool:
        """Whether the process group has ended."""
        return self.group.poll() is not None

    def stop(self, state: str) -> None:
        """Ask the job to stop with a checkpoint, once; it then gets this state."""
        if self.requested_state is None:
            self.requested_state = state
            self.group.send(signal.SIGTERM)

    def conclude(self) -> None:
        """Record how the job ended, and release it."""
        job, code = self.job, self.group.wait()
        code = code if code >= 0 else 128 - code  # a signal ended the guard itself
        job.exit_code, job.ended = code, _now()
        job.seconds = round(job.seconds + time.monotonic() - self.started_at, 1)
        if code == 0:
            job.state = "done"
        elif code in STOP_CODES or (code == _KILLED and self.requested_state):
            job.state = self.requested_state or "stopped"
        else:
            job.state, job.error = "failed", self._error(code)
        job.save()
        self.lock.close()
        reason = f": {job.error.rstrip('.')}; full output: {job.output}" if job.error else ""
        score = job.score() if job.state == "done" else None
        score_text = "" if score is None else f", AP {score:.3f}"
        time_text = _time_text(job.seconds)
        _log.info("%s: %s after %s%s%s", job.state, job.title, time_text, score_text, reason)

    def _error(self, code: int) -> str:
        """The last error that this attempt printed, or else how it ended."""
        with self.job.output.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(self.output_start, end - _TAIL))
            text = file.read().decode("utf-8", "replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        for line in reversed(lines):
            match = re.match(r"error(?: of rank \d+)?: (.*)", line)
            if match:
                return match[1].split("; all ranks were ended")[0]
            if re.match(r"[\w.]*(Error|Exception|Interrupt)\b", line):
                return line
        if code > 128:  # noqa: PLR2004  # a signal
            name = signal.Signals(code - 128).name
            hint = " (by hand, or by the system because memory ran out)" if code == _KILLED else ""
            return f"ended by {name}{hint}"
        return lines[-1] if lines else f"ended with exit code {code}"


def start_process(
    job: Job,
    command: Sequence[str],
    *,
    devices: list[Device],
    lock: IO[bytes],
    reservations: Sequence[int],
    grace: float,
) -> JobProcess:
    """Start a job and record that it runs.

    Args:
        job: The job, which this process has taken.
        command: The command line.
        devices: The devices to use.
        lock: The open lock file of the job, which the job's processes inherit.
        reservations: Open files of GPU reservations, which they inherit, too.
        grace: Seconds that the job has to save its state when it is asked to stop.
    """
    job.state, job.devices = "running", devices_text(devices)
    job.error = job.exit_code = job.ended = None
    job.started, job.attempts = _now(), job.attempts + 1
    job.save()
    inherited = {name: text for name, text in os.environ.items() if not _OF_LAUNCHERS.match(name)}
    allowed_plugins = map(str, read_config(job.folder).get("plugins") or [])
    group = ProcessGroup(
        command,
        environment={
            **inherited,
            **variables(devices, process_count(job)),
            **plugins.for_child(allowed_plugins),
        },
        output=job.output,
        cores=[core for device in devices for core in device.cores] or None,
        grace=grace,
        inherited=[lock.fileno(), *reservations],
        ignores_ctrl_c=True,
    )
    process = JobProcess(job, group, devices, lock, output_start=job.output.stat().st_size)
    attempt = f", attempt {job.attempts}" if job.attempts > 1 else ""
    _log.info("started: %s on %s%s", job.title, job.devices, attempt)
    return process


def _time_text(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.0f} s"  # noqa: PLR2004


def _now() -> str:
    return datetime.now().isoformat(timespec="seconds")
