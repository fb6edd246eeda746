"""A pooling: extracts a small feature map for each region."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

from detkit import Wired, register
from detkit.registry import PositiveInt
from detkit.structures import FeatureSpec


@register("pooling", "my_pooling")
class MyPooling(nn.Module):
    """RoIAlign on the finest level, whatever the size of the region.

    Args:
        size: Height and width of the map, in cells.
        samples: Bilinear samples along each side of a cell.
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        size: PositiveInt = 7,
        samples: PositiveInt = 2,
    ) -> None:
        super().__init__()
        finest = feature_specs[0]
        self.scale = 1 / finest.stride
        self.samples = samples
        # (channels, height, width) of the output; the box head is built from it.
        self.region_shape = (finest.channels, size, size)

    def forward(self, features: list[Tensor], boxes: Tensor, image: Tensor) -> Tensor:
        """Pool regions (M, 4) of images (M,) from L maps (B, C, H_l, W_l): (M, C, size, size)."""
        regions = torch.cat([image[:, None].to(boxes.dtype), boxes], dim=1)  # (M, 5)
        # In float32, like the regions: half precision would shift them by pixels.
        pooled: Tensor = roi_align(
            features[0].to(boxes.dtype),
            regions,
            self.region_shape[1:],
            spatial_scale=self.scale,
            sampling_ratio=self.samples,
            aligned=True,
        )
        return pooled.to(features[0].dtype)
