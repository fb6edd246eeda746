"""Measure how long `detkit predict` takes per image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from detkit.benchmark.operations import OperationCount, count_operations
from detkit.benchmark.timing import WARM_UP, Times, now
from detkit.inference.batch_norm_folding import ready_to_predict
from detkit.interfaces import Detector
from detkit.structures import Batch


@torch.no_grad()
def prediction_times(
    detector: nn.Module, batches: Sequence[Batch], device: torch.device, count: int
) -> tuple[Times, Times, OperationCount]:
    """Seconds of the network alone and of the whole prediction, and the latter's operations.

    Args:
        detector: The detector; left on the device and in evaluation mode.
        batches: One image each.
        device: Where the detector runs.
        count: Number of measurements.
    """
    device_batches = [batch.to(device) for batch in batches]
    ready: Any = ready_to_predict(detector, device_batches[0].images)
    network, whole = [], []
    for number in range(WARM_UP + count):  # alternate, since the load of the machine varies
        batch = device_batches[number % len(device_batches)]
        start = now(device)
        ready(batch.images)
        middle = now(device)
        ready.predict(batch)
        network.append(middle - start)
        whole.append(now(device) - middle)
    operations = count_prediction(ready, device_batches[0], device)
    detector.to(memory_format=torch.contiguous_format)
    return Times(tuple(network[WARM_UP:])), Times(tuple(whole[WARM_UP:])), operations


def count_prediction(detector: Detector, batch: Batch, device: torch.device) -> OperationCount:
    """The operations of a prediction.

    Args:
        detector: The detector, which has predicted a batch of this size before.
        batch: A batch on the device.
        device: The device of detector and batch.
    """
    return count_operations(lambda: detector.predict(batch), device, [batch.to_image])
