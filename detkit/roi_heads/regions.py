"""Regions of several images as one tensor, and back: R_i regions per image, M in total."""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from detkit.ops import box_areas
from detkit.structures import Priors, Target


class Regions(NamedTuple):
    """Regions of a batch, image by image.

    Attributes:
        boxes: (M, 4).
        image: (M,) int64, index of the region's image in the batch.
    """

    boxes: Tensor
    image: Tensor


class SampledRegions(NamedTuple):
    """The regions that a stage learns from, with their targets.

    Attributes:
        regions: M regions, at least one, so that every layer gets a gradient.
        labels: (M,) class of the object, or BACKGROUND.
        objects: (M, 4) box of the object; zeros for background.
        in_loss: (M,) whether the region counts in the losses; false for the region that is used
            if none was sampled.
        scores: (M,) soft target of the label, from the assigner; None if all are 1.
    """

    regions: Regions
    labels: Tensor
    objects: Tensor
    in_loss: Tensor
    scores: Tensor | None


def join(regions: list[Tensor]) -> Regions:
    """The boxes (R_i, 4) of each image as one tensor."""
    counts = torch.tensor([len(boxes) for boxes in regions])
    image = torch.arange(len(regions)).repeat_interleave(counts)
    return Regions(torch.cat(regions).float(), image.to(regions[0].device))


def pad(values: list[Tensor], filling: float) -> Tensor:
    """Values (R_i, ...) of each image as (B, R, ...), R being at least 1."""
    # A further sequence of length 1, removed again, makes R at least 1.
    extra = values[0].new_full((1, *values[0].shape[1:]), filling)
    return pad_sequence([*values, extra], batch_first=True, padding_value=filling)[:-1]


def as_priors(boxes: Tensor) -> Priors:
    """Regions (..., 4) as priors, for coders and assigners: one level, the stride of their size."""
    stride = box_areas(boxes).clamp(min=1).sqrt()
    return Priors(boxes, stride, torch.zeros_like(stride, dtype=torch.int64))


def look_up(objects: list[Target], matched: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
    """Look up the class and box of the object that each region is matched with.

    Args:
        objects: The objects of each image.
        matched: (M,) as in Assignment.
        image: (M,) image of each region.

    Returns:
        (M,) classes, or `matched` itself without objects; (M, 4) boxes, zeros likewise.
    """
    starts = torch.tensor([0, *accumulate(map(len, objects))], device=matched.device)
    has_object = matched >= 0
    row = torch.where(has_object, matched + starts[image], starts[-1])
    labels = torch.cat([*(target.labels for target in objects), matched.new_zeros(1)])[row]
    boxes = torch.cat([*(target.boxes for target in objects), objects[0].boxes.new_zeros(1, 4)])
    return torch.where(has_object, labels, matched), boxes[row]
