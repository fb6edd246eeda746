"""The devices of jobs: GPUs, or disjoint sets of CPU cores. Imports torch only to count GPUs."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass

from detkit.config.sweep_options import DevicePoolOptions
from detkit.errors import ConfigError
from detkit.text import agree, listed

VISIBLE = "CUDA_VISIBLE_DEVICES"
THREADS = "OMP_NUM_THREADS"


@dataclass(frozen=True)
class Device:
    """A GPU, or a set of CPU cores.

    Attributes:
        gpu: Its name in CUDA_VISIBLE_DEVICES; None for cores.
        cores: CPU cores of this device only; empty if a job may use all.
        threads: Number of CPU threads for one job.
    """

    gpu: str | None
    cores: tuple[int, ...]
    threads: int


def find_devices(options: DevicePoolOptions, width: int, on_cpu: bool) -> dict[Device, int]:
    """The devices of this machine, each with the number of jobs that it runs at once.

    Args:
        options: The options of the pool.
        width: Number of devices of the widest job.
        on_cpu: Whether all jobs run on the CPU.

    Raises:
        ConfigError: There are too few devices.
    """
    if options.devices == "cpu" or (options.devices == "auto" and on_cpu):
        return _core_sets(options.jobs_per_device)
    visible = visible_gpus()
    if options.devices == "auto" and not visible:
        return _core_sets(options.jobs_per_device)
    gpus = visible
    if options.devices != "auto":
        gpus = list(dict.fromkeys(map(str, options.devices)))
    unknown = [name for name in gpus if name not in visible]
    if unknown or not gpus:
        available = f"available: {', '.join(visible)}" if visible else "this machine has none"
        missing = ", ".join(unknown) or "in the list"
        raise ConfigError([f"hydra.launcher.devices: there is no GPU {missing}; {available}."])
    if width > len(gpus):
        raise ConfigError(
            [
                f"trainer.devices={width}: the device pool has only {len(gpus)} "
                f"({', '.join(gpus)}): lower it, or add to hydra.launcher.devices."
            ]
        )
    threads = max(len(_own_cores()) // (len(gpus) * options.jobs_per_device), 1)
    return {Device(name, (), threads): options.jobs_per_device for name in gpus}


def visible_gpus() -> list[str]:
    """The GPUs of this process, named as in CUDA_VISIBLE_DEVICES; creates no CUDA context."""
    import torch  # here since it takes seconds, and nothing else of this module needs it

    count = torch.cuda.device_count()
    named = [name.strip() for name in os.environ.get(VISIBLE, "").split(",") if name.strip()]
    return named[:count] if named else [str(number) for number in range(count)]


def _own_cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))


def _core_sets(count: int) -> dict[Device, int]:
    """The cores of this process, split evenly into disjoint sets."""
    cores = _own_cores()
    if count > len(cores):
        raise ConfigError(
            [
                f"hydra.launcher.jobs_per_device={count}: without a GPU jobs share CPU cores, and "
                f"this process may use {len(cores)} of them: choose at most that many."
            ]
        )
    bounds = [len(cores) * number // count for number in range(count + 1)]
    sets = [tuple(cores[low:high]) for low, high in itertools.pairwise(bounds)]
    return {Device(None, core_set, len(core_set)): 1 for core_set in sets}


def devices_text(devices: Sequence[Device]) -> str:
    """Devices as text: `GPU 0 and 1`, `cores 0-3`."""
    gpus = [device.gpu for device in devices if device.gpu is not None]
    if gpus:
        return f"GPU {listed(gpus)}"
    cores = [core for device in devices for core in device.cores]
    several = cores[-1] - cores[0] == len(cores) - 1 and len(cores) > 1
    numbers = f"{cores[0]}-{cores[-1]}" if several else ", ".join(map(str, cores))
    return f"{agree(len(cores), 'core', 'cores')} {numbers}"


def variables(devices: Sequence[Device], processes: int) -> dict[str, str]:
    """Environment variables that restrict a job to its devices.

    Args:
        devices: The devices of the job.
        processes: Number of its processes, which share its CPU cores.
    """
    threads = sum(device.threads for device in devices) // max(processes, 1)
    thread_text = os.environ.get(THREADS) or str(max(threads, 1))
    gpus = [device.gpu for device in devices if device.gpu is not None]
    return {VISIBLE: ",".join(gpus), THREADS: thread_text}
