"""Names of devices, checked without torch."""

from __future__ import annotations

import os
import re

from detkit.errors import UserError


def require_device_name(device: object) -> str:
    """The name of a device: `auto`, `cpu`, `cuda` or one GPU of several, such as `cuda:1`.

    Raises:
        UserError: It is another name.
    """
    name = str(device)
    if re.fullmatch(r"auto|cpu|cuda(:\d+)?", name) is None:
        raise UserError(f"device={name}: expected auto, cpu, cuda or one GPU such as cuda:1.")
    return name


def usable_threads() -> int:
    """Threads for an engine: OMP_NUM_THREADS, as PyTorch reads it, or the process's CPU cores.

    Engines count all cores of the machine, which is too many in a container.
    """
    words = os.environ.get("OMP_NUM_THREADS", "")
    if words.isdecimal() and int(words) > 0:
        return int(words)
    return len(os.sched_getaffinity(0))
