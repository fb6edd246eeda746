"""A neck that combines all levels: the balanced feature pyramid of Libra R-CNN."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from detkit import Wired, register
from detkit.errors import UserError
from detkit.registry import PositiveInt
from detkit.structures import FeatureSpec


class NonLocal(nn.Module):
    """Residual self-attention over all cells (embedded Gaussian non-local block)."""

    def __init__(self, channels: int, inner: int) -> None:
        """Build the embeddings.

        Args:
            channels: Channels of the feature map.
            inner: Channels of the embeddings.
        """
        super().__init__()
        self.embed = nn.Conv2d(channels, 3 * inner, 1)
        self.out = nn.Conv2d(inner, channels, 1)
        nn.init.normal_(self.out.weight, std=0.01)  # starts close to the identity

    def forward(self, feature: Tensor) -> Tensor:
        """Refine a map (B, C, H, W)."""
        cells = self.embed(feature).flatten(2).transpose(1, 2)  # (B, H * W, 3 * inner)
        attended = F.scaled_dot_product_attention(*cells.chunk(3, dim=-1))
        maps = attended.transpose(1, 2).reshape(feature.shape[0], -1, *feature.shape[-2:])
        refined: Tensor = feature + self.out(maps)
        return refined


@register("neck", "balanced_pyramid")
class BalancedPyramid(nn.Module):
    """Averages all levels at the size of one, refines the mean, and adds it back to each level.

    All levels need the same number of channels: put it after a neck like `fpn`, in a `sequence`.

    Paper: Libra R-CNN: Towards Balanced Learning for Object Detection (Pang et al., 2019), section
        3.2, https://arxiv.org/abs/1904.02701

    Departure: attention is divided by the square root of its channels, to avoid saturation.

    Args:
        refined_stride: Stride of the level whose size the mean has.
        reduction: Factor by which the attention has fewer channels.
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        refined_stride: PositiveInt = 32,
        reduction: PositiveInt = 2,
    ) -> None:
        super().__init__()
        channels = sorted({spec.channels for spec in feature_specs})
        if len(channels) > 1:
            raise UserError(
                f"neck 'balanced_pyramid' needs levels with equal channels, got {channels}: "
                "put a neck such as 'fpn' before it, in a 'sequence'."
            )
        distances = [abs(spec.stride - refined_stride) for spec in feature_specs]
        self.level = distances.index(min(distances))  # the nearest, if no level has this stride
        self.refine = NonLocal(channels[0], max(channels[0] // reduction, 1))
        self.strides = [spec.stride for spec in feature_specs]
        self.feature_specs = list(feature_specs)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Refine L maps (B, C, H_l, W_l); the sizes do not change."""
        size = features[self.level].shape[-2:]
        stride = self.strides[self.level]
        pairs = list(zip(features, self.strides, strict=True))
        resized = [_resized(level, size, stride / level_stride) for level, level_stride in pairs]
        refined = self.refine(sum(resized[1:], resized[0]) / len(features))
        return [
            level + _resized(refined, level.shape[-2:], level_stride / stride)
            for level, level_stride in pairs
        ]


def _resized(feature: Tensor, size: torch.Size, ratio: float) -> Tensor:
    """Max-pool by a ratio of strides, or repeat cells for a larger size, as in the paper's code.

    `adaptive_max_pool2d` would fix the size in an exported graph.
    """
    if ratio > 1:
        feature = F.max_pool2d(feature, round(ratio), ceil_mode=True)
    return F.interpolate(feature, size=size, mode="nearest")
