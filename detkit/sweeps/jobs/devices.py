"""What jobs run on: GPUs, or disjoint sets of CPU cores. Imports torch only to count GPUs."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from detkit.config.checks.safety import CODE_KEYS
from detkit.config.checks.schema import check
from detkit.config.root import Block
from detkit.errors import ConfigError
from detkit.registry import NonNegativeFloat, NonNegativeInt, PositiveInt

VISIBLE = "CUDA_VISIBLE_DEVICES"
THREADS = "OMP_NUM_THREADS"


@dataclass(frozen=True)
class Settings:
    """The keys of `hydra.launcher` beside `hydra/launcher=device_pool`.

    Args:
        devices: `auto` takes all GPUs, or the CPU where there is none or no job wants one; `cpu`,
            or a list of GPUs as CUDA_VISIBLE_DEVICES has them.
        jobs_per_device: Jobs at once on each GPU. Without GPUs the CPU is one device, and its
            cores are split among this many jobs.
        devices_per_job: GPUs that a job gets; null takes its trainer.devices.
        grace: Seconds that a job has to save what it has when it is stopped.
        skip_bad: Leave jobs out that cannot run, instead of starting none.
        share_devices: Use GPUs that another sweep of yours on this machine uses, instead of
            waiting for them.
    """

    devices: Literal["auto", "cpu"] | list[NonNegativeInt | str] = "auto"
    jobs_per_device: PositiveInt = 1
    devices_per_job: PositiveInt | None = None
    grace: NonNegativeFloat = 120.0
    skip_bad: bool = False
    share_devices: bool = False


@dataclass(frozen=True)
class _Hydra:
    launcher: Annotated[object, Block(f"{__name__}:Settings")]


@dataclass(frozen=True)
class _Root:
    hydra: Annotated[object, Block(f"{__name__}:_Hydra")]


def read_settings(given: Mapping[str, Any], words: Sequence[str] = ()) -> Settings:
    """The settings in a node `hydra.launcher`, checked like the rest of a configuration.

    Raises:
        ConfigError: With all problems that were found.
    """
    own = {key: value for key, value in given.items() if key != CODE_KEYS[0]}
    complete = check(_Root, {"hydra": {"launcher": own}}, list(words))
    return Settings(**complete["hydra"]["launcher"])


@dataclass(frozen=True)
class Device:
    """A GPU, or a set of CPU cores.

    Attributes:
        gpu: As CUDA_VISIBLE_DEVICES has it; None for cores.
        cores: CPU cores that no other device has; empty where a job may use all.
        threads: As many as one job may compute with.
    """

    gpu: str | None
    cores: tuple[int, ...]
    threads: int


def find_devices(settings: Settings, width: int, on_cpu: bool) -> dict[Device, int]:
    """The devices of this machine, each with how many jobs it takes at once.

    Args:
        settings: Those of the pool.
        width: Devices that the widest job wants.
        on_cpu: Whether all jobs run on the CPU.

    Raises:
        ConfigError: There are not as many devices as that takes.
    """
    if settings.devices == "cpu" or (settings.devices == "auto" and on_cpu):
        return _core_sets(settings.jobs_per_device)
    visible = visible_gpus()
    if settings.devices == "auto" and not visible:
        return _core_sets(settings.jobs_per_device)
    chosen = visible
    if settings.devices != "auto":
        chosen = list(dict.fromkeys(map(str, settings.devices)))
    unknown = [name for name in chosen if name not in visible]
    if unknown or not chosen:
        known = f"those here are {', '.join(visible)}" if visible else "there is none here"
        raise ConfigError(
            [f"hydra.launcher.devices: there is no GPU {', '.join(unknown) or 'in it'}; {known}."]
        )
    if width > len(chosen):
        raise ConfigError(
            [
                f"trainer.devices={width}: the device pool has {len(chosen)} of them "
                f"({', '.join(chosen)}): lower it, or add to hydra.launcher.devices."
            ]
        )
    threads = max(len(_own_cores()) // (len(chosen) * settings.jobs_per_device), 1)
    return {Device(name, (), threads): settings.jobs_per_device for name in chosen}


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES has them; starts no context."""
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
                f"this process may use {len(cores)} of them: no more than so many at once."
            ]
        )
    bounds = [len(cores) * number // count for number in range(count + 1)]
    sets = [tuple(cores[low:high]) for low, high in itertools.pairwise(bounds)]
    return {Device(None, each, len(each)): 1 for each in sets}


def devices_text(devices: Sequence[Device]) -> str:
    """Devices in words: `GPU 0 and 1`, `cores 0-3`."""
    gpus = [device.gpu for device in devices if device.gpu is not None]
    if gpus:
        return f"GPU {' and '.join(gpus)}"
    cores = [core for device in devices for core in device.cores]
    several = cores[-1] - cores[0] == len(cores) - 1 and len(cores) > 1
    listed = f"{cores[0]}-{cores[-1]}" if several else ", ".join(map(str, cores))
    return f"core{'s' if len(cores) > 1 else ''} {listed}"


def variables(devices: Sequence[Device], processes: int) -> dict[str, str]:
    """Environment variables by which a job keeps to its devices.

    Args:
        devices: What the job has for itself.
        processes: How many of them share its CPU cores.
    """
    threads = sum(device.threads for device in devices) // max(processes, 1)
    chosen = os.environ.get(THREADS) or str(max(threads, 1))
    gpus = [device.gpu for device in devices if device.gpu is not None]
    return {VISIBLE: ",".join(gpus), THREADS: chosen}
