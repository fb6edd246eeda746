"""Jobs side by side on the devices of this machine, each in a process group of its own."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import IO

from detkit.config import plugins
from detkit.errors import Stopped, UserError
from detkit.interruption import SAME_REQUEST, STOP_CODES, StopSignals
from detkit.processes.process_group import ProcessGroup
from detkit.runs.frozen_config import read_config
from detkit.sweeps.jobs.devices import Device, Settings, devices_text, find_devices, variables
from detkit.sweeps.jobs.gpu_reservations import Reservations, shared_folder
from detkit.sweeps.jobs.job import ENDED, Job

_POLL = 0.1
_KILLED = 128 + signal.SIGKILL
# What others have set for processes of theirs, and would make a job take itself for one of them.
_OF_OTHERS = re.compile(
    r"(LOCAL_|GROUP_|NODE_|ROLE_)?RANK$|(LOCAL_|ROLE_)?WORLD_SIZE$|MASTER_|TORCHELASTIC_|SLURM_"
    r"|DETKIT_RANK_ERROR$"
)
_TAIL = 20_000  # bytes of the output in which the error is looked for
_log = logging.getLogger("detkit.sweeps")


class JobTakenError(UserError):
    """Another process runs the job, or has run it."""


def training(job: Job) -> list[str]:
    """The command that trains a job's frozen configuration, from its last checkpoint if any."""
    return [sys.executable, "-m", "detkit.processes.run_frozen", str(job.folder)]


@dataclass
class _Running:
    job: Job
    group: ProcessGroup
    devices: list[Device]
    lock: IO[bytes]
    began: float
    output_before: int
    asked: str | None = None


class DevicePool:
    """Runs jobs on reserved devices; leaving the context ends them, and saved results stay.

    While it is open, a stop signal makes `ended` raise Stopped. The jobs then stop after their
    step, with a checkpoint; a second Ctrl-C stops them at once.

    Args:
        settings: How jobs are assigned to devices.
        width: Number of devices of the widest job.
        on_cpu: Whether all jobs run on the CPU.
        command: Returns the command line of a job.
    """

    def __init__(
        self,
        settings: Settings,
        width: int = 1,
        on_cpu: bool = False,
        command: Callable[[Job], Sequence[str]] = training,
    ) -> None:
        width = settings.devices_per_job or width
        self._left = find_devices(settings, width, on_cpu)
        self._on_gpus = any(device.gpu is not None for device in self._left)
        self._width = width if self._on_gpus else 1
        self._settings, self._command = settings, command
        self._reserved: Reservations | None = None
        if self._on_gpus and not settings.share_devices:
            self._reserved = Reservations(shared_folder())
        self._running: list[_Running] = []
        self._received: list[int] = []
        self._signals = StopSignals(self._received.append)

    def __enter__(self) -> DevicePool:
        """Handle stop signals."""
        self._signals.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop what runs, wait for it, give the signals back."""
        if self._running:
            _log.info("stopping %s; Ctrl-C again stops at once", _titles(self.running))
        for job in self.running:
            self.stop(job)
        handled, asked_at = len(self._received), time.monotonic()
        while self._running:
            # before that, a job would mistake the second signal for a repetition of the first
            may_repeat = time.monotonic() - asked_at > SAME_REQUEST + _POLL
            if len(self._received) > handled and may_repeat:
                handled = len(self._received)
                for running in self._running:
                    running.group.send(signal.SIGTERM)
            self._collect()
            time.sleep(_POLL)
        self._release_idle()
        self._signals.__exit__(kind, error, trace)

    @property
    def running(self) -> list[Job]:
        """The jobs that run, the first started first."""
        return [entry.job for entry in self._running]

    @property
    def free(self) -> int:
        """How many more jobs, each as wide as the widest, could start now."""
        if self._received:
            return 0
        free_slots = sorted((self._left[device] for device in self._ours()), reverse=True)
        count = 0
        while len(free_slots) >= self._width and free_slots[self._width - 1] > 0:
            free_slots = sorted(
                [n - 1 for n in free_slots[: self._width]] + free_slots[self._width :], reverse=True
            )
            count += 1
        return count

    def start(self, job: Job) -> None:
        """Reserve devices for a job and start it.

        Raises:
            ValueError: No device is free.
            JobTakenError: Another process runs it, or it has been run meanwhile.
        """
        if self.free == 0:
            raise ValueError("no device is free")
        lock = job.take()
        if lock is None:
            raise JobTakenError(f"{job.folder}: another process runs this job.")
        try:
            stored = Job.load(job.folder)
            if stored.state in ENDED:
                raise JobTakenError(f"{job.folder}: another process has run this job.")
            self._start(job, lock)
        except BaseException:
            lock.close()
            raise

    def _start(self, job: Job, lock: IO[bytes]) -> None:
        config = read_config(job.folder)
        processes = config["trainer"]["devices"]
        processes = processes if isinstance(processes, int) else 1
        width = (self._settings.devices_per_job or processes) if self._on_gpus else 1
        devices = sorted(self._ours(), key=lambda device: -self._left[device])[:width]
        job.state, job.devices = "running", devices_text(devices)
        job.error = job.exit_code = job.ended = None
        job.started, job.attempts = _now(), job.attempts + 1
        job.save()
        environment = {
            name: text for name, text in os.environ.items() if not _OF_OTHERS.match(name)
        }
        group = ProcessGroup(
            self._command(job),
            environment={
                **environment,
                **variables(devices, processes),
                **plugins.for_child(map(str, config.get("plugins") or [])),
            },
            output=job.output,
            cores=[core for device in devices for core in device.cores] or None,
            grace=self._settings.grace,
            held=[lock.fileno(), *self._descriptors(devices)],
            apart=True,
        )
        for device in devices:
            self._left[device] -= 1
        before = job.output.stat().st_size
        self._running.append(_Running(job, group, devices, lock, time.monotonic(), before))
        again = f", attempt {job.attempts}" if job.attempts > 1 else ""
        _log.info("started: %s on %s%s", job.title, job.devices, again)

    def ended(self) -> list[Job]:
        """The jobs that have ended since the last call, their records saved.

        Raises:
            Stopped: A signal to stop came.
        """
        jobs = self._collect()
        if not jobs and not self._running:
            self._wait_for_devices()
        if self._received:
            raise Stopped("stopped", self._received[0])
        return jobs

    def _ours(self) -> list[Device]:
        """The devices that this sweep holds or can reserve now."""
        if self._reserved is None:
            return list(self._left)
        return [device for device in self._left if self._reserved.reserve(str(device.gpu))]

    def _descriptors(self, devices: Sequence[Device]) -> list[int]:
        if self._reserved is None:
            return []
        return [number for d in devices for number in self._reserved.descriptors(str(d.gpu))]

    def _release_idle(self) -> None:
        """Release devices without a running job to other sweeps."""
        busy = {device for running in self._running for device in running.devices}
        for device in self._left:
            if self._reserved is not None and device not in busy:
                self._reserved.release(str(device.gpu))

    def _wait_for_devices(self) -> None:
        """Wait while other sweeps use too many devices for any job to start."""
        self._release_idle()
        if self._reserved is not None:
            gpus = [str(device.gpu) for device in self._left]
            self._reserved.wait(gpus, self._width, until=lambda: bool(self._received))

    def stop(self, job: Job, state: str = "stopped") -> None:
        """Ask a running job to stop with a checkpoint; it is killed after the grace.

        Args:
            job: One that has ended by itself is left as it is.
            state: What it is then.
        """
        for running in self._running:
            if running.job.folder == job.folder and running.asked is None:
                running.asked = state
                running.group.send(signal.SIGTERM)

    def _collect(self) -> list[Job]:
        over = [running for running in self._running if running.group.poll() is not None]
        for running in over:
            self._running.remove(running)
            for device in running.devices:
                self._left[device] += 1
            self._conclude(running)
        return [running.job for running in over]

    def _conclude(self, ended: _Running) -> None:
        """Record how a job ended, and let go of it."""
        job, code = ended.job, ended.group.wait()
        code = code if code >= 0 else 128 - code  # the guard itself was ended by a signal
        job.exit_code, job.ended = code, _now()
        job.seconds = round(job.seconds + time.monotonic() - ended.began, 1)
        if code == 0:
            job.state = "done"
        elif code in STOP_CODES or (code == _KILLED and ended.asked):
            job.state = ended.asked or "stopped"
        else:
            job.state, job.error = "failed", _error(ended, code)
        job.save()
        ended.lock.close()
        reason = f": {job.error.rstrip('.')}; full output: {job.output}" if job.error else ""
        score = job.score() if job.state == "done" else None
        reached = "" if score is None else f", AP {score:.3f}"
        time_text = _minutes(job.seconds)
        _log.info("%s: %s after %s%s%s", job.state, job.title, time_text, reached, reason)


def _error(ended: _Running, code: int) -> str:
    """The last error that this attempt has printed, or how it ended without one."""
    with ended.job.output.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(ended.output_before, end - _TAIL))
        text = file.read().decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in reversed(lines):
        match = re.match(r"error(?: of rank \d+)?: (.*)", line)
        if match or re.match(r"[\w.]*(Error|Exception|Interrupt)\b", line):
            return match[1].split("; all ranks were ended")[0] if match else line
    if code > 128:  # noqa: PLR2004  # a signal
        name = signal.Signals(code - 128).name
        hint = " (by hand, or by the system since memory was used up)" if code == _KILLED else ""
        return f"ended by {name}{hint}"
    return lines[-1] if lines else f"ended with exit code {code}"


def _titles(jobs: Sequence[Job]) -> str:
    return jobs[0].title if len(jobs) == 1 else f"{len(jobs)} jobs"


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.0f} s"  # noqa: PLR2004


def _now() -> str:
    return datetime.now().isoformat(timespec="seconds")
