"""Box heads: from the small map of a region to its features."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from detkit.layers import ConvBlock
from detkit.registry import Fraction, PositiveInt, Wired, register


@register("box_head", "two_fc")
class TwoFC(nn.Module):
    """Two fully connected layers over all cells of a region.

    Paper: Feature Pyramid Networks for Object Detection (Lin et al., 2017), section 4.2,
    https://arxiv.org/abs/1612.03144

    Args:
        width: Features of each layer.
        dropout: Share of each layer's features that training drops; 0.5 in Fast R-CNN.
    """

    def __init__(
        self,
        *,
        region_shape: Wired[tuple[int, int, int]],
        width: PositiveInt = 1024,
        dropout: Fraction = 0.0,
    ) -> None:
        super().__init__()
        channels, height, side = region_shape
        self.first = nn.Linear(channels * height * side, width)
        self.second = nn.Linear(width, width)
        self.activation = nn.ReLU()
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()  # which draws nothing
        uniform_layers(self)
        self.out_channels = width

    def forward(self, regions: Tensor) -> Tensor:
        """(M, C, h, w) to (M, width)."""
        features = self.dropout(self.activation(self.first(regions.flatten(1))))
        activated: Tensor = self.dropout(self.activation(self.second(features)))
        return activated


@register("box_head", "four_conv_one_fc")
class FourConvOneFC(nn.Module):
    """Convolutions on the small map, then one fully connected layer.

    Paper: Group Normalization (Wu and He, 2018), section 4.2, https://arxiv.org/abs/1803.08494

    Args:
        convs: 3x3 convolutions.
        channels: Channels of each.
        norm: Normalisation after each: group norm in the paper, batch norm in torchvision's
            second Faster R-CNN.
        width: Features of the fully connected layer.
    """

    def __init__(
        self,
        *,
        region_shape: Wired[tuple[int, int, int]],
        convs: PositiveInt = 4,
        channels: PositiveInt = 256,
        norm: Literal["none", "batch", "group"] = "group",
        width: PositiveInt = 1024,
    ) -> None:
        super().__init__()
        in_channels, height, width_in_cells = region_shape
        inputs = [in_channels, *[channels] * (convs - 1)]
        self.convs = nn.Sequential(*(ConvBlock(count, channels, norm=norm) for count in inputs))
        self.last = nn.Linear(channels * height * width_in_cells, width)
        self.activation = nn.ReLU()
        uniform_layers(self)
        self.out_channels = width

    def forward(self, regions: Tensor) -> Tensor:
        """(M, C, h, w) to (M, width)."""
        activated: Tensor = self.activation(self.last(self.convs(regions).flatten(1)))
        return activated


def uniform_layers(module: nn.Module) -> None:
    """Uniform weights for layers before a ReLU, which keep the variance (He et al., 2015)."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
