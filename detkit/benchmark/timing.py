"""Repeated time measurements after a warm-up."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median

import torch

WARM_UP = 3  # initial measurements that do not count


@dataclass(frozen=True)
class Times:
    """Seconds of repeated measurements of the same work.

    Attributes:
        seconds: One or more, in order.
    """

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The median."""
        return median(self.seconds)

    @property
    def low(self) -> float:
        """The shortest time."""
        return min(self.seconds)

    @property
    def high(self) -> float:
        """The longest time."""
        return max(self.seconds)


def now(device: torch.device) -> float:
    """A clock in seconds, read after the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
    return time.perf_counter()
