"""Check the padded detections and regions of a batch."""

from __future__ import annotations

from typing import Any

import torch

from detkit.contracts.case import BrokenContractError
from detkit.contracts.tensor_checks import require, require_tensor
from detkit.structures import Detections, PaddedDetections, Regions


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


def split_regions(result: Any, images: int) -> list[Detections]:
    """The regions of each image as detections with label 0 and score 1, if the padding is valid.

    Raises:
        BrokenContractError: It is not.
    """
    if not isinstance(result, Regions):
        raise BrokenContractError(f"it gave {type(result).__name__}, expected Regions.")
    most = result.mask.shape[-1]
    require_tensor(result.boxes, "boxes", (images, most, 4), torch.float32)
    require_tensor(result.mask, "mask", (images, most), torch.bool)
    require(not result.boxes.requires_grad, "regions carry gradients: use torch.no_grad().")
    require(
        not result.boxes[~result.mask].count_nonzero(),
        "boxes where the mask is false are not zero.",
    )
    return [
        Detections(boxes, torch.ones(len(boxes)), torch.zeros(len(boxes), dtype=torch.int64))
        for boxes in result.split()
    ]
