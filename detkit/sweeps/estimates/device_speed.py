"""Measure the speed of convolutions on a device, for a rough estimate of training times."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

HALF: dict[int | str, torch.dtype] = {16: torch.float16, "bf16": torch.bfloat16}
_ROUNDS = 3
_MUCH, _LITTLE = (64, 48, 4), (8, 8, 1)  # channels, side and batch of an image
_LAYERS = 4


@dataclass(frozen=True)
class Speed:
    """Speed of a device in forward and backward passes.

    Attributes:
        operations: Multiplications and additions per second in large layers.
        layer: Seconds per small layer.
    """

    operations: float
    layer: float

    def pass_seconds(self, operations: float, layers: float) -> float:
        """Seconds of passes with this many operations and layers."""
        return max(operations / self.operations, layers * self.layer)


class SpeedOfDevices:
    """Measures each combination of device and precision once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Speed] = {}

    def __call__(self, config: Mapping[str, Any]) -> Speed:
        """The speed of the device on which a configuration would train here."""
        trainer = config["trainer"]
        has_gpu = torch.cuda.is_available() and trainer["accelerator"] != "cpu"
        key = ("cuda" if has_gpu else "cpu", str(trainer["precision"]))
        if key not in self._known:
            self._known[key] = measure_speed(torch.device(key[0]), HALF.get(trainer["precision"]))
        return self._known[key]


def measure_speed(device: torch.device, half: torch.dtype | None) -> Speed:
    """Measure for about a second.

    Args:
        device: The device of the training.
        half: 16-bit type of the products; None for 32 bits.
    """
    much = _seconds(_MUCH, device, half)
    channels, side, batch = _MUCH
    operations = 3 * _LAYERS * 2 * 9 * channels**2 * side**2 * batch  # backward is twice forward
    little = _seconds(_LITTLE, device, half)
    return Speed(operations / much, little / (3 * _LAYERS))


def _seconds(size: tuple[int, int, int], device: torch.device, half: torch.dtype | None) -> float:
    """The shortest time of a forward and backward pass through convolution, norm and ReLU."""
    channels, side, batch = size
    layers: list[nn.Module] = []
    for _ in range(_LAYERS):
        convolution = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        layers += [convolution, nn.BatchNorm2d(channels), nn.ReLU()]
    network: Any = nn.Sequential(*layers).to(device)
    network.to(memory_format=torch.channels_last)
    images = torch.zeros(batch, channels, side, side, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    times = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        with torch.autocast(device.type, half, enabled=half is not None):
            result: Tensor = network(images)
        loss: Any = result.float().sum()
        loss.backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return min(times)
