"""Mask heads: the pixels of the object in each region."""

from __future__ import annotations

from typing import Annotated, Literal

from torch import Tensor, nn

from detkit.interfaces import Pooling
from detkit.layers import ConvBlock
from detkit.registry import NonNegativeFloat, PositiveInt, Slot, Wired, register


@register("mask_head", "conv")
class ConvMaskHead(nn.Module):
    """Convolutions, then a transposed convolution: a map of each class for each region.

    Paper: Mask R-CNN (He et al., 2017), section 3, https://arxiv.org/abs/1703.06870

    Regions with an object learn the map of its class, with binary cross entropy averaged over
    their pixels. The target is the object's bitmap after RoIAlign, as in torchvision, so pixels at
    a border have targets between 0 and 1. Prediction runs on the final boxes only.

    Args:
        convs: 3x3 convolutions before the transposed one.
        channels: Channels of each.
        norm: Normalisation after each convolution; torchvision's second Mask R-CNN has batch norm.
        weight: Factor of the loss.
        regions_per_image: Most regions of an image that learn masks; the others are skipped. A
            sampler of 512 regions, a quarter of them with objects, never has more than 128.
        pooling: Levels and regions to small maps; masks have twice their side.
    """

    def __init__(
        self,
        *,
        num_classes: Wired[int],
        convs: PositiveInt = 4,
        channels: PositiveInt = 256,
        norm: Literal["none", "batch", "group"] = "none",
        weight: NonNegativeFloat = 1.0,
        regions_per_image: PositiveInt = 128,
        pooling: Annotated[Pooling, Slot("pooling", "roi_align", {"size": 14})],
    ) -> None:
        super().__init__()
        self.pooling = pooling
        inputs = [pooling.region_shape[0], *[channels] * (convs - 1)]
        self.convs = nn.Sequential(*(ConvBlock(count, channels, norm=norm) for count in inputs))
        self.upsampling = nn.ConvTranspose2d(channels, channels, 2, 2)
        self.activation = nn.ReLU()
        self.mask_layer = nn.Conv2d(channels, num_classes, 1)
        self.side = 2 * pooling.region_shape[1]
        self.weight = weight
        self.regions_per_image = regions_per_image
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, features: list[Tensor], boxes: Tensor, image: Tensor) -> Tensor:
        """L maps and regions (M, 4) of the images (M,) to float32 logits (M, C, S, S)."""
        maps = self.convs(self.pooling(features, boxes, image))
        logits: Tensor = self.mask_layer(self.activation(self.upsampling(maps)))
        return logits.float()
