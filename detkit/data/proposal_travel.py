"""Proposals on their way through the transforms.

They travel as ignored objects with a label that no class has, so that every transform, also a
plugin's, moves, clips and drops them as it does boxes, and mosaics bring those of all their images.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from detkit.data.detection_dataset import DetectionDataset, Key
from detkit.interfaces import MixingTransform, Transform
from detkit.ops import box_areas
from detkit.pixels.pixel_format import RGB8, PixelFormat
from detkit.structures import DatasetIndex, Sample, Target
from detkit.structures.outlines import Outlines, join_outlines

_LABEL = -1


class ProposalSource(Protocol):
    """Where the regions of an image come from."""

    def boxes(self, path: Path) -> Tensor:
        """(R, 4) regions of an image file, in its own pixels."""
        ...


class ProposalDataset(DetectionDataset):
    """A dataset whose samples carry the proposals of their images.

    Args:
        index: Images and objects.
        transforms: The steps in order.
        seed: Seed of the transforms' random numbers.
        proposals: The regions of each image.
        mixing_epochs: Number of epochs that mix images; later ones skip these transforms.
        is_measured: Whether the samples are used for evaluation.
        pixels: Channels and value range of the images.
    """

    def __init__(
        self,
        index: DatasetIndex,
        *,
        transforms: Mapping[str, Transform | MixingTransform],
        seed: int,
        proposals: ProposalSource,
        mixing_epochs: float = math.inf,
        is_measured: bool = False,
        pixels: PixelFormat = RGB8,
    ) -> None:
        super().__init__(
            index,
            transforms=transforms,
            seed=seed,
            mixing_epochs=mixing_epochs,
            is_measured=is_measured,
            pixels=pixels,
        )
        self.proposals = proposals

    def __getitem__(self, key: Key) -> Sample:
        """The sample of a key, with its proposals."""
        return unload_proposals(super().__getitem__(key))

    def read(self, position: int, image: Tensor | None = None) -> Sample:
        """The image with its objects and proposals; a blank replacement has no proposals."""
        sample = super().read(position, image)
        is_blank = image is not None and not image.is_meta
        boxes = torch.zeros(0, 4) if is_blank else self.proposals.boxes(Path(sample.path))
        return with_proposals(sample, boxes)


def with_proposals(sample: Sample, boxes: Tensor) -> Sample:
    """A sample whose target carries the proposals (R, 4) behind its objects."""
    target, count, outlines = sample.target, len(boxes), sample.target.outlines
    if outlines is not None:  # proposals are objects without masks
        outlines = join_outlines([outlines, Outlines.of([[]] * count)])
    carrying = Target(
        boxes=torch.cat([target.boxes, boxes]),
        labels=torch.cat([target.labels, torch.full((count,), _LABEL)]),
        ignored=torch.cat([target.ignored, torch.ones(count, dtype=torch.bool)]),
        areas=None if target.areas is None else torch.cat([target.areas, box_areas(boxes)]),
        outlines=outlines,
    )
    return replace(sample, target=carrying)


def unload_proposals(sample: Sample) -> Sample:
    """The sample with its proposals apart from its objects."""
    is_proposal = sample.target.labels == _LABEL
    target = sample.target.select(~is_proposal)
    return replace(sample, target=target, proposals=sample.target.boxes[is_proposal])
