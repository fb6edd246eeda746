"""MobileNetV3-Large for SSDlite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from torch import Tensor, nn
from torchvision.models import MobileNet_V3_Large_Weights, mobilenet_v3_large

from detkit.backbones.weights import (
    find_weights,
    is_without_memory,
    load_weights,
    published_by_torchvision,
    require_levels,
)
from detkit.errors import UserError
from detkit.layers import normal_convolutions
from detkit.layers.mobile import MOBILE_STD, mobile_norm
from detkit.registry import Wired, register
from detkit.structures import FeatureSpec
from detkit.structures.published_weights import PublishedWeights

_PUBLISHED = MobileNet_V3_Large_Weights.IMAGENET1K_V1
_LAST_BLOCK = 13  # from stride 16 to 32, without a residual connection
_FINER = {2: 4, 3: 7}  # level to the first block after its last map


@register("backbone", "mobilenet_v3_large_ssd")
class MobileNetV3ForSSD(nn.Module):
    """MobileNetV3-Large with the levels of SSDlite, of strides 16 and 32.

    The first level is the expanded map inside the block that goes to stride 32, the second the last
    map. Finer levels, the last map of each stride, are for necks that need more. Parameters have
    torchvision's names, so its checkpoints fit.

    Paper: Searching for MobileNetV3 (Howard et al., 2019), section 6.3,
        https://arxiv.org/abs/1905.02244
    """

    def __init__(
        self,
        *,
        fetch_weights: Wired[bool] = True,
        weights: str | None = None,
        reduced_tail: bool = True,
        levels: tuple[Literal[2, 3, 4, 5], ...] = (4, 5),
    ) -> None:
        """Build and load.

        Args:
            fetch_weights: Whether to load `weights`; false if a checkpoint is loaded instead.
            weights: `imagenet` for torchvision's published weights (with `reduced_tail` false), a
                checkpoint file, or null.
            reduced_tail: Whether to halve the channels of the blocks of stride 32, as in the
                paper's detectors.
            levels: Output levels, fine to coarse: [4, 5], [3, 4, 5] or [2, 3, 4, 5]; level l has
                stride 2**l.

        Raises:
            UserError: A level does not exist, or the weights cannot be loaded or do not fit.
        """
        super().__init__()
        require_levels("mobilenet_v3_large_ssd", levels, [(4, 5), (3, 4, 5), (2, 3, 4, 5)])
        if reduced_tail and weights == "imagenet":
            raise UserError(
                "backbone 'mobilenet_v3_large_ssd': the published weights are for the "
                "network without a reduced tail: set `reduced_tail` to false, or `weights` to null."
            )
        whole = mobilenet_v3_large(reduced_tail=reduced_tail, norm_layer=mobile_norm)
        self.features = whole.features
        normal_convolutions(self.features, MOBILE_STD)
        widened = self.features[_LAST_BLOCK].block[0]
        finer = [level for level in levels if level in _FINER]
        self._finer = [_FINER[level] for level in finer]
        self.feature_specs = [
            *(FeatureSpec(self.features[_FINER[n] - 1].out_channels, 2**n) for n in finer),
            FeatureSpec(widened.out_channels, 16),
            FeatureSpec(self.features[-1].out_channels, 32),
        ]
        if fetch_weights and weights is not None and not is_without_memory(self):
            load_weights(self, find_weights(weights, _PUBLISHED), weights)

    @staticmethod
    def published_weights(arguments: Mapping[str, Any]) -> PublishedWeights:
        """Torchvision's weights, which `weights=imagenet` loads."""
        return published_by_torchvision(_PUBLISHED)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) to one map (B, C_l, H / stride, W / stride) per level, rounded up."""
        maps, features, start = [], images, 0
        for stop in self._finer:
            features, start = self.features[start:stop](features), stop
            maps.append(features)
        block = self.features[_LAST_BLOCK].block
        widened = block[0](self.features[start:_LAST_BLOCK](features))
        last = self.features[_LAST_BLOCK + 1 :](block[1:](widened))
        return [*maps, widened, last]
