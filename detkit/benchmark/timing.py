"""How long things take: each a few times, after a warm-up."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median

import torch

WARM_UP = 3  # times that come first and do not count


@dataclass(frozen=True)
class Times:
    """Seconds of the same work, measured several times.

    Attributes:
        seconds: At least one, in the order of measuring.
    """

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return median(self.seconds)

    @property
    def low(self) -> float:
        """The shortest."""
        return min(self.seconds)

    @property
    def high(self) -> float:
        """The longest."""
        return max(self.seconds)


def now(device: torch.device) -> float:
    """A clock in seconds, read once a device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    return time.perf_counter()
