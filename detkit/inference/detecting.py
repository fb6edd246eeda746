"""A detector over a loader of batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import nn

from detkit.errors import UserError
from detkit.structures import Batch, Detections


def choose_device(name: str) -> torch.device:
    """The device for `auto`, `cpu` or `cuda`.

    Raises:
        UserError: A GPU is asked for and there is none.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise UserError("device=cuda: this machine shows no GPU to PyTorch; use device=cpu.")
    return torch.device("cuda" if name == "cuda" or (name == "auto" and available) else "cpu")


@torch.inference_mode()
def detect(
    detector: nn.Module, loader: Iterable[Batch], device: torch.device
) -> Iterator[tuple[Batch, list[Detections]]]:
    """Each batch with its detections, on the CPU, in the coordinates of the original images."""
    detector.to(device).eval()
    for batch in loader:
        outputs = detector.predict(batch.to(device))  # type: ignore[operator]
        yield batch, batch.without_blank([detections.to("cpu") for detections in outputs])
