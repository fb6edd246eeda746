"""Proposers that learn nothing: a grid of windows, and regions that come with the images."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from detkit.errors import UserError
from detkit.interfaces import Losses
from detkit.ops import clip_boxes, sides_at_least
from detkit.ops.grid_boxes import RATIOS, SIZES, STEP, grid_boxes
from detkit.registry import NonNegativeFloat, PositiveFloat, PositiveInt, register
from detkit.structures import Batch, DensePredictions, PaddedTargets, Regions


class FixedProposals(nn.Module):
    """The part of `Proposer` that layers and losses would fill.

    Attributes:
        learns: Whether the proposer has losses.
        region_count: Regions of an image, at most.
    """

    learns: ClassVar[bool] = False
    region_count: int

    def forward(self, features: list[Tensor]) -> DensePredictions:
        """Predictions for no prior, since there are no layers."""
        nothing = features[0].new_zeros((len(features[0]), 0, 4), dtype=torch.float32)
        return DensePredictions(nothing[..., :1], nothing, None)

    def loss_and_proposals(
        self, features: list[Tensor], targets: PaddedTargets, image_sizes: Tensor
    ) -> tuple[Losses, Regions]:
        """No losses, and the same regions as for a prediction."""
        return {}, self.propose(features, image_sizes)

    def propose(self, features: list[Tensor], image_sizes: Tensor) -> Regions:
        """The regions of each image, inside its height and width (B, 2)."""
        raise NotImplementedError


@register("proposer", "grid")
class GridProposals(FixedProposals):
    """The same overlapping windows in every image, of several sizes and shapes.

    Sizes and shapes are relative to the image, so that every image has the same number of them.

    Args:
        sizes: Square roots of the windows' areas, as shares of the image's.
        ratios: Widths over heights, relative to the image's.
        step: Largest distance of neighbouring windows, as a share of their side.
    """

    _shares: Tensor

    def __init__(
        self,
        *,
        sizes: tuple[PositiveFloat, ...] = SIZES,
        ratios: tuple[PositiveFloat, ...] = RATIOS,
        step: PositiveFloat = STEP,
    ) -> None:
        super().__init__()
        if not sizes or not ratios or max(sizes) > 1:
            raise UserError(
                f"proposer 'grid' needs ratios and sizes that are shares of the image, from 0 to "
                f"1, got ratios {list(ratios)} and sizes {list(sizes)}."
            )
        self.register_buffer("_shares", grid_boxes(sizes, ratios, step), persistent=False)
        self.region_count = len(self._shares)

    def propose(self, features: list[Tensor], image_sizes: Tensor) -> Regions:
        """The windows of each image (B, 2), largest first."""
        sides = image_sizes.flip(1).repeat(1, 2)  # (B, 4) width, height, width, height
        boxes = self._shares * sides[:, None]
        return Regions(boxes, torch.ones_like(boxes[..., 0], dtype=torch.bool))


@register("proposer", "external")
class ExternalProposals(FixedProposals):
    """Regions from a file, which `detkit data propose` writes, moved with the image.

    They travel through the transforms like boxes. Without a batch, as in a trial run of the
    network, the whole image is the only region.

    Args:
        file: The proposal file; null until it is written.
        most: Regions of an image to use, the first ones in the file.
        min_size: Regions with a shorter side, in pixels of the detector's input, are dropped.
    """

    export_problem = (
        "its regions come from a file, and an exported graph takes nothing but images: train with "
        "model/proposer=rpn or model/proposer=grid to export"
    )

    def __init__(
        self,
        *,
        file: str | None = None,
        most: PositiveInt = 2000,
        min_size: NonNegativeFloat = 1.0,
    ) -> None:
        super().__init__()
        self.file = file
        self.most = most
        self.min_size = min_size
        self.region_count = most

    def propose(self, features: list[Tensor], image_sizes: Tensor) -> Regions:
        """The whole image (B, 2) as the only region."""
        sides = image_sizes.flip(1)
        boxes = torch.cat([torch.zeros_like(sides), sides], dim=1)[:, None].float()
        return Regions(boxes, torch.ones_like(boxes[..., 0], dtype=torch.bool))

    def regions_of(self, batch: Batch) -> Regions:
        """The regions that come with a batch, inside their images.

        Raises:
            UserError: The batch has none.
        """
        if batch.proposals is None:
            raise UserError(
                "proposer 'external' needs regions with each image, and this batch has none: set "
                "model.proposer.file to a file that `detkit data propose` wrote, or choose "
                "model/proposer=grid or model/proposer=rpn."
            )
        regions = batch.proposals.to(batch.images.device, non_blocking=True)
        boxes, mask = (values[:, : self.most] for values in regions)
        boxes = clip_boxes(boxes, batch.size_tensor[:, None])
        mask = mask & sides_at_least(boxes, self.min_size)
        return Regions(torch.where(mask[..., None], boxes, 0), mask)
