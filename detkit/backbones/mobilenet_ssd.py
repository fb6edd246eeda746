"""MobileNetV3-Large as SSDlite uses it."""

from __future__ import annotations

from torch import Tensor, nn
from torchvision.models import MobileNet_V3_Large_Weights, mobilenet_v3_large

from detkit.backbones.weights import find_weights, is_without_memory, load_weights
from detkit.errors import UserError
from detkit.layers import normal_convolutions
from detkit.layers.mobile import MOBILE_STD, mobile_norm
from detkit.registry import Wired, register
from detkit.structures import FeatureSpec

_LAST_BLOCK = 13  # the one that goes from stride 16 to 32; it has no residual connection


@register("backbone", "mobilenet_v3_large_ssd")
class MobileNetV3ForSSD(nn.Module):
    """MobileNetV3-Large with the two levels of SSDlite, of strides 16 and 32.

    The first is the widened map inside the block that goes to stride 32, the second the last one.
    Names of parameters are torchvision's, so its checkpoints fit.

    Paper: Searching for MobileNetV3 (Howard et al., 2019), section 6.3,
        https://arxiv.org/abs/1905.02244
    """

    def __init__(
        self,
        *,
        fetch_weights: Wired[bool] = True,
        weights: str | None = None,
        reduced_tail: bool = True,
    ) -> None:
        """Build and load.

        Args:
            fetch_weights: Whether `weights` are read; not where a checkpoint brings them.
            weights: `imagenet` for torchvision's published weights (with `reduced_tail` false), a
                checkpoint file, or null.
            reduced_tail: Halve the channels of the blocks of stride 32, as for detection in the
                paper.

        Raises:
            UserError: The weights cannot be had or do not fit.
        """
        super().__init__()
        if reduced_tail and weights == "imagenet":
            raise UserError(
                "backbone 'mobilenet_v3_large_ssd': the published weights are of the network "
                "without a reduced tail: set `reduced_tail` to false, or `weights` to null."
            )
        whole = mobilenet_v3_large(reduced_tail=reduced_tail, norm_layer=mobile_norm)
        self.features = whole.features
        normal_convolutions(self.features, MOBILE_STD)
        widened = self.features[_LAST_BLOCK].block[0]
        self.feature_specs = [
            FeatureSpec(widened.out_channels, 16),
            FeatureSpec(self.features[-1].out_channels, 32),
        ]
        if fetch_weights and weights is not None and not is_without_memory(self):
            published = MobileNet_V3_Large_Weights.IMAGENET1K_V1
            load_weights(self, find_weights(weights, published), weights)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) to (B, 672, H / 16, W / 16) and (B, C, H / 32, W / 32), rounded up."""
        block = self.features[_LAST_BLOCK].block
        first = block[0](self.features[:_LAST_BLOCK](images))
        last = self.features[_LAST_BLOCK + 1 :](block[1:](first))
        return [first, last]
