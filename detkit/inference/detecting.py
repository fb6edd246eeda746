"""The device of a detector, and its detections on a data set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import nn

from detkit.errors import UserError
from detkit.inference.device_names import require_device_name
from detkit.structures import Batch, Detections
from detkit.text import counted


def choose_device(device: str | torch.device) -> torch.device:
    """Choose the device for `auto`, `cpu`, `cuda` or one GPU of several, such as `cuda:1`.

    Raises:
        UserError: The name is another one, or this machine has no such GPU.
    """
    name = require_device_name(device)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    chosen = torch.device(name)
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise UserError(f"device={name}: this machine shows no GPU to PyTorch; use device=cpu.")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        gpus = counted(torch.cuda.device_count(), "GPU")
        raise UserError(f"device={name}: PyTorch sees {gpus}, counted from cuda:0.")
    return chosen


@torch.inference_mode()
def detect(
    detector: nn.Module, loader: Iterable[Batch], device: torch.device
) -> Iterator[tuple[Batch, list[Detections]]]:
    """Run a detector over batches; its detections are on the CPU, in original coordinates."""
    detector.to(device).eval()
    for batch in loader:
        outputs = detector.predict(batch.to(device))  # type: ignore[operator]
        yield batch, batch.without_blank([detections.to("cpu") for detections in outputs])
