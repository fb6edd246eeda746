"""The number of devices of a training; apart from the trainer, whose import takes seconds."""

from __future__ import annotations

from typing import Literal

import torch


def device_count(devices: int | Literal["auto"], accelerator: str) -> int:
    """Number of devices that a run uses on this machine."""
    if devices != "auto":
        return devices
    return 1 if accelerator == "cpu" else max(torch.cuda.device_count(), 1)
