"""Samples to one batch, and batches from worker processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detkit.data.opencv import cv2
from detkit.data.transforms.resizing import PADDING
from detkit.structures import Batch, PaddedTargets, Regions, Sample, Target


class Collate:
    """Makes a batch of samples, padded at the right and the bottom with grey.

    Args:
        pad_multiple: Height and width of the batch are multiples of this.
    """

    def __init__(self, *, pad_multiple: int) -> None:
        self.pad_multiple = pad_multiple

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        """One batch in the order of the samples."""
        sizes = [sample.size for sample in samples]
        multiple = self.pad_multiple
        height, width = (-(-max(side) // multiple) * multiple for side in zip(*sizes, strict=True))
        images = samples[0].image.new_empty((len(samples), len(samples[0].image), height, width))
        for canvas, sample, (rows, columns) in zip(images, samples, sizes, strict=True):
            copy_planes(sample.image, canvas[:, :rows, :columns])
            canvas[:, rows:] = PADDING
            canvas[:, :rows, columns:] = PADDING
        proposals = [sample.proposals for sample in samples if sample.proposals is not None]
        return Batch(
            images=images,
            image_sizes=sizes,
            targets=PaddedTargets.of([sample.target for sample in samples], sizes),
            original_targets=[sample.original_target for sample in samples],
            image_ids=[sample.image_id for sample in samples],
            paths=[sample.path for sample in samples],
            original_sizes=[sample.original_size for sample in samples],
            to_image=torch.stack([sample.to_image for sample in samples]),
            blank=tuple(i for i, sample in enumerate(samples) if not sample.is_decoded),
            proposals=Regions.of(proposals) if proposals else None,
        )


def copy_planes(image: torch.Tensor, planes: torch.Tensor) -> None:
    """Copy an image (C, H, W) into another one whose memory holds plane after plane.

    If the image's channels are innermost in memory, OpenCV copies it 14 times as fast as PyTorch.
    """
    if image.stride(0) == 1 and image.stride(2) == len(image):
        cv2.split(image.permute(1, 2, 0).numpy(), [plane.numpy() for plane in planes])
    else:
        planes.copy_(image)


def _reduce_target(target: Target) -> tuple[Callable[..., Target], tuple[Any, ...]]:
    values = (target.boxes, target.labels, target.ignored, target.areas)
    arrays = (None if v is None else v.numpy() for v in values)
    return _rebuild_target, (*arrays, target.outlines)


def _rebuild_target(boxes: Any, labels: Any, ignored: Any, areas: Any, outlines: Any) -> Target:
    boxes, labels, ignored = map(torch.from_numpy, (boxes, labels, ignored))
    return Target(
        boxes, labels, ignored, None if areas is None else torch.from_numpy(areas), outlines
    )


def _reduce_padded(
    values: PaddedTargets | Regions,
) -> tuple[Callable[..., PaddedTargets | Regions], tuple[Any, ...]]:
    arrays: list[Any] = [v.numpy() if isinstance(v, Tensor) else v for v in values]
    return _rebuild_padded, (type(values), *arrays)


def _rebuild_padded(kind: Callable[..., Any], *values: Any) -> PaddedTargets | Regions:
    fields: list[Any] = [torch.from_numpy(v) if isinstance(v, np.ndarray) else v for v in values]
    result: PaddedTargets | Regions = kind(*fields)
    return result


# Each tensor that a worker sends takes a file descriptor and a system call: a batch of 64 would
# take 512 of the 1024 that a process may have open. Targets are tiny, so they travel as bytes.
ForkingPickler.register(Target, _reduce_target)
ForkingPickler.register(PaddedTargets, _reduce_padded)
ForkingPickler.register(Regions, _reduce_padded)
