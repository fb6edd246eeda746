"""Check the padded detections of a batch."""

from __future__ import annotations

from typing import Any

import torch

from detkit.contracts.case import BrokenContractError
from detkit.contracts.tensor_checks import require, require_tensor
from detkit.structures import Detections, PaddedDetections


def split_images(result: Any, images: int) -> list[Detections]:
    """The detections of each image, if the padding is valid.

    Raises:
        BrokenContractError: It is not.
    """
    if not isinstance(result, PaddedDetections):
        raise BrokenContractError(f"it gave {type(result).__name__}, expected PaddedDetections.")
    most = result.scores.shape[-1]
    require_tensor(result.boxes, "boxes", (images, most, 4), torch.float32)
    require_tensor(result.scores, "scores", (images, most), torch.float32)
    require_tensor(result.labels, "labels", (images, most), torch.int64)
    require_tensor(result.counts, "counts", (images,), torch.int64)
    padding = torch.arange(most) >= result.counts[:, None]
    values = (result.boxes[padding], result.scores[padding], result.labels[padding])
    require(
        not any(bool(value.count_nonzero()) for value in values),
        "the padding after an image's detections is not zero.",
    )
    return result.split()
