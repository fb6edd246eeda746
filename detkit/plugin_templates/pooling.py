"""A pooling: feature levels and regions to a small map of each region."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.ops import roi_align

from detkit import Wired, register
from detkit.registry import PositiveInt
from detkit.structures import FeatureSpec


@register("pooling", "my_pooling")
class MyPooling(nn.Module):
    """Averages bilinear samples of the finest level, whatever the size of the region.

    Args:
        size: Side of the small map, in cells.
        samples: Samples of a cell along each side.
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
        # (channels, height, width) of what goes out: the box head is built by it.
        self.region_shape = (finest.channels, size, size)

    def forward(self, features: list[Tensor], boxes: Tensor, image: Tensor) -> Tensor:
        """L maps (B, C, H_l, W_l) and regions (M, 4) of the images (M,) to (M, C, size, size)."""
        regions = [boxes[image == number] for number in range(len(features[0]))]
        order = image.argsort(stable=True).argsort()  # back from image by image
        # In float32, as the coordinates of a region are; half precision would move them by pixels.
        pooled: Tensor = roi_align(
            features[0].to(boxes.dtype),
            regions,
            self.region_shape[1:],
            spatial_scale=self.scale,
            sampling_ratio=self.samples,
            aligned=True,
        )
        return pooled[order].to(features[0].dtype)
