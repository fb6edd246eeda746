"""A box head: turns the feature map of a region into a feature vector."""

from __future__ import annotations

from torch import Tensor, nn

from detkit import Wired, register
from detkit.layers import ConvBlock
from detkit.registry import PositiveInt


@register("box_head", "my_box_head")
class MyBoxHead(nn.Module):
    """One convolution, the mean over the cells, and one fully connected layer.

    Args:
        width: Length of the feature vector.
    """

    def __init__(
        self, *, region_shape: Wired[tuple[int, int, int]], width: PositiveInt = 256
    ) -> None:
        super().__init__()
        channels, _, _ = region_shape  # channels, height, width of the map of a region
        self.conv = ConvBlock(channels, width, norm="group")
        self.linear = nn.Linear(width, width)
        self.activation = nn.ReLU()
        self.out_channels = width

    def forward(self, regions: Tensor) -> Tensor:
        """(M, C, h, w) to (M, width); M may be 0."""
        pooled = self.conv(regions).mean(dim=(2, 3))
        features: Tensor = self.activation(self.linear(pooled))
        return features
