"""Jobs in parallel on the devices of this machine, each in its own process group."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import IO

from detkit.config.sweep_options import DevicePoolOptions
from detkit.errors import Stopped
from detkit.interruption import SAME_REQUEST, StopSignals
from detkit.sweeps.jobs.devices import Device, find_devices
from detkit.sweeps.jobs.gpu_reservations import Reservations, shared_folder
from detkit.sweeps.jobs.job import ENDED, Job, JobTakenError
from detkit.sweeps.jobs.job_process import (
    JobProcess,
    process_count,
    start_process,
    training_command,
)

_POLL = 0.1
_log = logging.getLogger("detkit.sweeps")


class DevicePool:
    """Runs jobs on reserved devices. Leaving the context stops them; what they saved remains.

    While the context is open, a stop signal makes `ended` raise Stopped. The jobs then stop after
    their current step, with a checkpoint; a second Ctrl-C stops them at once.

    Args:
        options: How jobs are assigned to devices.
        width: Number of devices of the widest job.
        on_cpu: Whether all jobs run on the CPU.
        command: Returns the command line of a job.
    """

    def __init__(
        self,
        options: DevicePoolOptions,
        width: int = 1,
        on_cpu: bool = False,
        command: Callable[[Job], Sequence[str]] = training_command,
    ) -> None:
        width = options.devices_per_job or width
        self._free_slots = find_devices(options, width, on_cpu)  # how many more jobs, by device
        self._on_gpus = any(device.gpu is not None for device in self._free_slots)
        self._width = width if self._on_gpus else 1
        self._options, self._command = options, command
        self._reservations: Reservations | None = None
        if self._on_gpus and not options.share_devices:
            self._reservations = Reservations(shared_folder())
        self._processes: list[JobProcess] = []
        self._received: list[int] = []  # numbers of stop signals
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
        """Stop the running jobs, wait for them, and restore the signal handlers."""
        if self._processes:
            _log.info("stopping %s; Ctrl-C again stops at once", _titles(self.running))
        for job in self.running:
            self.stop(job)
        handled, stopped_at = len(self._received), time.monotonic()
        while self._processes:
            # before that, a job would mistake the second signal for a repetition of the first
            may_repeat = time.monotonic() - stopped_at > SAME_REQUEST + _POLL
            if len(self._received) > handled and may_repeat:
                handled = len(self._received)
                for process in self._processes:
                    process.group.send(signal.SIGTERM)
            self._collect()
            time.sleep(_POLL)
        self._release_idle()
        self._signals.__exit__(kind, error, trace)

    @property
    def running(self) -> list[Job]:
        """The running jobs, in the order in which they started."""
        return [process.job for process in self._processes]

    @property
    def free(self) -> int:
        """The number of further jobs, each as wide as the widest, that could start now."""
        if self._received:
            return 0
        slots = sorted((self._free_slots[device] for device in self._usable()), reverse=True)
        count = 0
        # Each further job takes the devices with the most free slots, as `start` does.
        while len(slots) >= self._width and slots[self._width - 1] > 0:
            slots = [number - 1 for number in slots[: self._width]] + slots[self._width :]
            slots.sort(reverse=True)
            count += 1
        return count

    def start(self, job: Job) -> None:
        """Reserve devices for a job and start it.

        Raises:
            ValueError: No device is free.
            JobTakenError: Another process runs the job, or has completed it meanwhile.
        """
        if self.free == 0:
            raise ValueError("no device is free")
        lock = job.take()
        if lock is None:
            raise JobTakenError(f"{job.folder}: another process runs this job.")
        try:
            if Job.load(job.folder).state in ENDED:
                raise JobTakenError(f"{job.folder}: another process has run this job.")
            self._start(job, lock)
        except BaseException:
            lock.close()
            raise

    def _start(self, job: Job, lock: IO[bytes]) -> None:
        width = (self._options.devices_per_job or process_count(job)) if self._on_gpus else 1
        devices = sorted(self._usable(), key=lambda device: -self._free_slots[device])[:width]
        process = start_process(
            job,
            self._command(job),
            devices=devices,
            lock=lock,
            reservations=self._descriptors(devices),
            grace=self._options.grace,
        )
        for device in devices:
            self._free_slots[device] -= 1
        self._processes.append(process)

    def ended(self) -> list[Job]:
        """The jobs that have ended since the last call, with saved records.

        Raises:
            Stopped: A stop signal came.
        """
        jobs = self._collect()
        if not jobs and not self._processes:
            self._wait_for_devices()
        if self._received:
            raise Stopped("stopped", self._received[0])
        return jobs

    def stop(self, job: Job, state: str = "stopped") -> None:
        """Ask a running job to stop with a checkpoint; it is killed after the grace period.

        Args:
            job: The job; nothing happens if it has already ended.
            state: The state that it gets then.
        """
        for process in self._processes:
            if process.job.folder == job.folder:
                process.stop(state)

    def _collect(self) -> list[Job]:
        """Record the ends of jobs, and free their devices."""
        ended = [process for process in self._processes if process.has_ended]
        for process in ended:
            self._processes.remove(process)
            for device in process.devices:
                self._free_slots[device] += 1
            process.conclude()
        return [process.job for process in ended]

    def _usable(self) -> list[Device]:
        """The devices that this sweep has reserved or can reserve now."""
        if self._reservations is None:
            return list(self._free_slots)
        return [d for d in self._free_slots if self._reservations.reserve(str(d.gpu))]

    def _descriptors(self, devices: Sequence[Device]) -> list[int]:
        if self._reservations is None:
            return []
        return [number for d in devices for number in self._reservations.descriptors(str(d.gpu))]

    def _release_idle(self) -> None:
        """Release devices without a running job to other sweeps."""
        busy = {device for process in self._processes for device in process.devices}
        for device in self._free_slots:
            if self._reservations is not None and device not in busy:
                self._reservations.release(str(device.gpu))

    def _wait_for_devices(self) -> None:
        """Wait while other sweeps use too many devices for any job to start."""
        self._release_idle()
        if self._reservations is not None:
            gpus = [str(device.gpu) for device in self._free_slots]
            self._reservations.wait(gpus, self._width, until=lambda: bool(self._received))


def _titles(jobs: Sequence[Job]) -> str:
    return jobs[0].title if len(jobs) == 1 else f"{len(jobs)} jobs"
