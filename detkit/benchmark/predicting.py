"""How long the detection of objects in one image takes, as `detkit predict` does it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from detkit.benchmark.timing import WARM_UP, Times, now
from detkit.inference.batch_norm_folding import ready_to_predict
from detkit.structures import Batch


@torch.no_grad()
def prediction_times(
    detector: Any, batches: Sequence[Batch], device: torch.device, count: int
) -> tuple[Times, Times]:
    """Seconds of the network alone, and of the whole prediction.

    Args:
        detector: On the device and in evaluation mode afterwards, and otherwise as it was.
        batches: One image each.
        device: Where the detector runs.
        count: Times to measure.
    """
    given = [batch.to(device) for batch in batches]
    ready: Any = ready_to_predict(detector, given[0].images)
    network, whole = [], []
    for number in range(WARM_UP + count):  # in turns, as other work on the machine comes and goes
        batch = given[number % len(given)]
        start = now(device)
        ready(batch.images)
        middle = now(device)
        ready.predict(batch)
        network.append(middle - start)
        whole.append(now(device) - middle)
    detector.to(memory_format=torch.contiguous_format)
    return Times(tuple(network[WARM_UP:])), Times(tuple(whole[WARM_UP:]))
