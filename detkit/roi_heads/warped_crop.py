"""Regions of the image, warped to squares."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import roi_align

from detkit.errors import UserError
from detkit.ops import box_centres, box_sides
from detkit.registry import NonNegativeInt, PositiveInt, Wired, register
from detkit.structures import FeatureSpec


@register("pooling", "warped_crop")
class WarpedCrop:
    """Warps each region of the finest level, with its surroundings, to a square.

    With backbone 'pixels' the level is the image. A region is warped whatever its shape, so that it
    ends `context` pixels before the edges of the square. Outside of the image is the mean colour.
    Pixels are averaged where the square is smaller than the region.

    Paper: Rich feature hierarchies for accurate object detection (Girshick et al., 2014), section
        2.1 and appendix A, https://arxiv.org/abs/1311.2524

    Args:
        size: Side of the square.
        context: Pixels around the region in the square.
    """

    export_problem = (
        "it makes a crop of the image for each region, and the network then runs on all of them at "
        "once, which takes gigabytes: export a detector that pools from feature maps"
    )

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        size: PositiveInt = 227,
        context: NonNegativeInt = 16,
    ) -> None:
        if 2 * context >= size:
            raise UserError(
                f"pooling 'warped_crop': a context of {context} pixels on both sides leaves "
                f"nothing of a square of {size}: lower context or raise size."
            )
        self.region_shape = (feature_specs[0].channels, size, size)
        self._stride = feature_specs[0].stride
        self._enlargement = size / (size - 2 * context)

    def __call__(self, features: list[Tensor], boxes: Tensor, image: Tensor) -> Tensor:
        """Maps (B, C, H_l, W_l) and regions (M, 4) of the images (M,) to (M, C, size, size)."""
        centres, half_sides = box_centres(boxes), box_sides(boxes) * (self._enlargement / 2)
        corners = torch.cat([centres - half_sides, centres + half_sides], dim=1)
        regions = torch.cat([image[:, None].to(boxes.dtype), corners], dim=1)
        level = features[0].to(boxes.dtype)
        size = self.region_shape[1:]
        crops: Tensor = roi_align(level, regions, size, 1 / self._stride, -1, aligned=True)
        return crops.to(features[0].dtype)
