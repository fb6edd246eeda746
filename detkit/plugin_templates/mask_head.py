"""A mask head: turns the feature map of a region into a mask of each class."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn

from detkit import Slot, Wired, register
from detkit.interfaces import Pooling
from detkit.layers import ConvBlock
from detkit.registry import NonNegativeFloat, PositiveInt


@register("mask_head", "my_mask_head")
class MyMaskHead(nn.Module):
    """One convolution, then one layer that gives each cell a logit for each class.

    Args:
        channels: Channels of the convolution.
        weight: Factor of the loss.
        regions_per_image: Most regions of an image that learn masks.
        pooling: Levels and regions to small maps.
    """

    def __init__(
        self,
        *,
        num_classes: Wired[int],
        channels: PositiveInt = 64,
        weight: NonNegativeFloat = 1.0,
        regions_per_image: PositiveInt = 128,
        pooling: Annotated[Pooling, Slot("pooling", "roi_align", {"size": 14})],
    ) -> None:
        super().__init__()
        self.pooling = pooling
        self.conv = ConvBlock(pooling.region_shape[0], channels)
        self.mask_layer = nn.Conv2d(channels, num_classes, 1)
        self.side = pooling.region_shape[1]  # of the mask of a region
        self.weight = weight
        self.regions_per_image = regions_per_image

    def forward(self, features: list[Tensor], boxes: Tensor, image: Tensor) -> Tensor:
        """Levels and regions (M, 4) of the images (M,) to logits (M, C, side, side)."""
        logits: Tensor = self.mask_layer(self.conv(self.pooling(features, boxes, image)))
        return logits.float()
