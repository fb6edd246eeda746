"""Regions of a batch as rows for the layers, and back: R regions per image, M rows in total."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from detkit.ops import Rows, box_areas, rows_in
from detkit.ops.rows import take_rows
from detkit.structures import PaddedTargets, Priors, Regions

_FAR = 2**20  # pixels to the right of and below every image


class RegionRows(NamedTuple):
    """M regions of a batch, image by image.

    On a CPU these are the regions without the padding. On accelerators and in graphs, where nobody
    may count the regions, all B * R are rows, and those of the padding have no effect on others.

    Attributes:
        boxes: (M, 4).
        image: (M,) int64, index of the region's image in the batch.
        rows: The positions of the M regions among all B * R.
        mask: (B, R) bool, false in the padding.
    """

    boxes: Tensor
    image: Tensor
    rows: Rows
    mask: Tensor

    @staticmethod
    def of(regions: Regions) -> RegionRows:
        """The regions of a batch as rows."""
        rows = rows_in(regions.mask)
        images = torch.arange(regions.mask.shape[0], device=regions.mask.device)
        image = rows.of(images[:, None].expand_as(regions.mask))
        return RegionRows(rows.of(regions.boxes.float()), image, rows, regions.mask)

    def spread(self, values: Tensor) -> Tensor:
        """Values (M, ...) as (B, R, ...), with 0 in the padding."""
        if self.rows.positions is None:
            table = self.rows.clear(values)
        else:
            table = values.new_zeros(self.mask.numel(), *values.shape[1:])
            table = table.index_copy(0, self.rows.positions, values)
        return table.view(*self.mask.shape, *values.shape[1:])


class SampledRegions(NamedTuple):
    """The regions that a stage learns from, with their targets.

    Attributes:
        regions: S regions of each image, M rows in total. There is at least one row, so that every
            layer gets a gradient.
        in_loss: (B, S) bool, whether a region counts in the losses; false for the region that
            passes through the layers if none was sampled.
        matched: (B, S) as in Assignment.
        labels: (M,) class of the object, or BACKGROUND.
        objects: (M, 4) box of the object; any box for background.
        scores: (M,) soft target of the label, from the assigner; None if all are 1.
    """

    regions: RegionRows
    in_loss: Tensor
    matched: Tensor
    labels: Tensor
    objects: Tensor
    scores: Tensor | None


def as_priors(boxes: Tensor) -> Priors:
    """Regions (..., 4) as priors, for coders and assigners: one level, the stride of their size."""
    stride = box_areas(boxes).clamp(min=1).sqrt()
    return Priors(boxes, stride, torch.zeros_like(stride, dtype=torch.int64))


def distant_padding(regions: Regions) -> Tensor:
    """(B, R, 4) the boxes of the regions, with the padding far from every object."""
    corners = _FAR + unit_box(regions.boxes)
    return torch.where(regions.mask[..., None], regions.boxes, corners)


def unit_box(like: Tensor) -> Tensor:
    """(4,) a box of one pixel."""
    corners = torch.arange(4, device=like.device).div(2, rounding_mode="floor")
    return corners.to(like.dtype)


def look_up(targets: PaddedTargets, matched: Tensor) -> tuple[Tensor, Tensor]:
    """Look up the class and box of the object that each region is matched with.

    Args:
        targets: The objects of each image.
        matched: (B, R) as in Assignment.

    Returns:
        (B, R) classes, or `matched` itself without an object; (B, R, 4) boxes, of any object then.
    """
    return targets.labels_of(matched), take_rows(targets.boxes, matched.clamp(min=0))
