"""Pooling: a small map for each region, from the level that fits its size."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import roi_pool

from detkit.errors import UserError
from detkit.ops import box_areas
from detkit.ops.selection import is_eager_cpu
from detkit.registry import PositiveFloat, PositiveInt, Wired, register
from detkit.structures import FeatureSpec, Priors

_CANONICAL_STRIDE = 16  # level 4 of the pyramid paper
_EDGE = 1e-6  # lets a region of exactly a level's size into that level, as torchvision does


class LevelPooling:
    """Pools each region from one level, chosen by its size; M counts regions.

    Attributes:
        region_shape: (channels, height, width) of the small map.
        saved_bytes: Bytes that autograd saves for each region on a CPU.
    """

    saved_bytes = 0

    def __init__(
        self,
        *,
        feature_specs: list[FeatureSpec],
        size: int,
        coarsest_stride: int,
        canonical_side: float,
    ) -> None:
        """Choose the levels.

        Args:
            feature_specs: The input levels.
            size: Side of the small map, in cells.
            coarsest_stride: Levels with a larger stride are not pooled from.
            canonical_side: Side of the square regions that belong to stride 16.

        Raises:
            UserError: No level can be pooled from, or the levels differ in channels.
        """
        used = [spec for spec in feature_specs if spec.stride <= coarsest_stride]
        if not used:
            strides = ", ".join(str(spec.stride) for spec in feature_specs)
            raise UserError(
                f"no level to pool regions from: all strides ({strides}) are above "
                f"coarsest_stride={coarsest_stride}: raise it, or provide finer levels."
            )
        channels = sorted({spec.channels for spec in used})
        if len(channels) > 1:
            raise UserError(
                "one box head reads regions of all levels, so the levels need the same number of "
                f"channels, got {', '.join(map(str, channels))}: add a neck such as 'fpn'."
            )
        self.region_shape = (channels[0], size, size)
        self._strides = [spec.stride for spec in used]
        self._canonical_side = canonical_side

    def __call__(self, features: list[Tensor], boxes: Tensor, image: Tensor) -> Tensor:
        """Maps (B, C, H_l, W_l) and regions (M, 4) of the images (M,) to (M, C, size, size)."""
        regions = torch.cat([image[:, None].to(boxes.dtype), boxes], dim=1)  # (M, 5)
        levels = self.level_of(boxes)
        if is_eager_cpu(boxes):
            return self._pool_sorted(features, regions, levels)
        pooled = self._pool(features[0], regions, 1 / self._strides[0])
        for level, stride in enumerate(self._strides[1:], start=1):
            is_from_level = (levels == level)[:, None, None, None]
            maps = self._pool(features[level], regions, 1 / stride)
            pooled = torch.where(is_from_level, maps, pooled)
        return pooled

    def _pool_sorted(self, features: list[Tensor], regions: Tensor, levels: Tensor) -> Tensor:
        """Pool regions (M, 5) from their levels (M,), after sorting them by level."""
        counts = levels.bincount(minlength=len(self._strides)).tolist()
        order = levels.argsort(stable=True)
        levels_with_regions = zip(
            features, torch.split(regions[order], counts), self._strides, strict=False
        )
        pooled = [
            self._pool(feature, rows, 1 / stride) for feature, rows, stride in levels_with_regions
        ]
        return torch.cat(pooled).index_select(0, order.argsort())

    def level_of(self, boxes: Tensor) -> Tensor:
        """(M,) index of the level to pool each box (M, 4) from.

        Equation 1 of Feature Pyramid Networks: regions of the canonical side belong to stride 16,
        those with half of it to stride 8, and so on; very small and very large ones to the ends.
        """
        sides = box_areas(boxes).clamp(min=0).sqrt()
        octave = torch.floor(torch.log2(sides / self._canonical_side) + _EDGE)  # -inf without area
        target_strides = _CANONICAL_STRIDE * torch.exp2(octave)  # (M,)
        level = torch.zeros_like(target_strides, dtype=torch.int64)
        for stride in self._strides[1:]:
            level = level + (target_strides >= stride)
        return level

    def priors(self, boxes: Tensor) -> Priors:
        """Boxes (B, R, 4) with the level that each is pooled from, and its stride."""
        level = self.level_of(boxes)
        strides = torch.tensor(self._strides, dtype=boxes.dtype, device=boxes.device)
        return Priors(boxes, strides[level], level)

    def _pool(self, feature: Tensor, regions: Tensor, scale: float) -> Tensor:
        raise NotImplementedError


@register("pooling", "roi_pool")
class RoIPool(LevelPooling):
    """Takes the largest value in each cell of a region, with borders rounded to whole cells.

    Paper: Fast R-CNN (Girshick, 2015), section 2.1, https://arxiv.org/abs/1504.08083; the level of
    a region as in Feature Pyramid Networks (Lin et al., 2017), https://arxiv.org/abs/1612.03144

    Args:
        size: Side of the small map, in cells.
        coarsest_stride: Levels with a larger stride are not pooled from.
        canonical_side: Side, in pixels, of the square regions that belong to stride 16.
    """

    export_problem = "RoI pooling has no operator in exported graphs: use pooling 'roi_align'"

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        size: PositiveInt = 7,
        coarsest_stride: PositiveInt = 32,
        canonical_side: PositiveFloat = 224.0,
    ) -> None:
        super().__init__(
            feature_specs=feature_specs,
            size=size,
            coarsest_stride=coarsest_stride,
            canonical_side=canonical_side,
        )

    def _pool(self, feature: Tensor, regions: Tensor, scale: float) -> Tensor:
        size = self.region_shape[1:]
        pooled: Tensor = roi_pool(feature.to(regions.dtype), regions, size, spatial_scale=scale)
        return pooled.to(feature.dtype)
