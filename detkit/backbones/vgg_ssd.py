"""VGG-16 for SSD and for RefineDet."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Interval
from torch import Tensor, nn

from detkit.backbones.vgg_convolutional import (
    CHANNELS,
    FC_CHANNELS,
    ConvolutionalVGG16,
    VGGNorm,
    length_scale,
    scaled,
)
from detkit.backbones.weights import require_levels
from detkit.registry import PositiveFloat, Wired, register
from detkit.structures import FeatureSpec

_LEVEL_CHANNELS = {2: 256, 3: CHANNELS, 4: FC_CHANNELS}
FrozenBlocks = Annotated[int, Interval(ge=0, le=5)]


@register("backbone", "vgg16_ssd")
class VGG16ForSSD(ConvolutionalVGG16):
    """VGG-16 with its fully connected layers as convolutions, and levels of strides 8 and 16.

    The first level is conv4_3, each cell scaled to a learnt length; the second is fc7. A finer
    level, conv3_3, is for necks that need three.

    Paper: SSD: Single Shot MultiBox Detector (Liu et al., 2016), section 3,
        https://arxiv.org/abs/1512.02325
    """

    def __init__(
        self,
        *,
        fetch_weights: Wired[bool] = True,
        weights: str | None = None,
        norm: VGGNorm = "none",
        frozen_stages: FrozenBlocks = 0,
        first_scale: PositiveFloat = 20.0,
        levels: tuple[Literal[2, 3, 4], ...] = (3, 4),
    ) -> None:
        """Build, load and freeze.

        Args:
            fetch_weights: Whether to load `weights`; false if a checkpoint is loaded instead.
            weights: `imagenet` for torchvision's published VGG-16, a checkpoint file, or null. The
                fully connected layers initialise fc6 and fc7, subsampled to every third row and
                column and every fourth channel.
            norm: Normalisation after each convolution; `none`, as in the paper, needs pretrained
                weights, `batch` trains from scratch.
            frozen_stages: Number of frozen convolution blocks, from the input.
            first_scale: Initial length of each cell of conv4_3.
            levels: Output levels, fine to coarse: [3, 4] or [2, 3, 4]; level l has stride 2**l.

        Raises:
            UserError: A level does not exist, or the weights cannot be loaded or do not fit.
        """
        require_levels("vgg16_ssd", levels, [(3, 4), (2, 3, 4)])
        last_pool = nn.MaxPool2d(3, stride=1, padding=1)
        super().__init__(norm=norm, frozen_stages=frozen_stages, last_pool=last_pool, dilation=6)
        self.scale = length_scale(first_scale)
        self.feature_specs = [FeatureSpec(_LEVEL_CHANNELS[level], 2**level) for level in levels]
        self._cuts = [self.pools[level] for level in levels[:-1]]
        self.finish(weights, fetch_weights)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) to one map (B, C_l, H / stride, W / stride) per level."""
        *finer, conv4, conv5 = self.maps_before(self._cuts, images)
        return [*finer, scaled(conv4, self.scale), self.fully_connected(conv5)]


@register("backbone", "vgg16_refinedet")
class VGG16ForRefineDet(ConvolutionalVGG16):
    """VGG-16 with its fully connected layers as convolutions, and levels of strides 8, 16 and 32.

    The levels are conv4_3 and conv5_3, each cell scaled to a learnt length, and fc7.

    Paper: Single-Shot Refinement Neural Network for Object Detection (Zhang et al., 2018), section
        3.4, https://arxiv.org/abs/1711.06897
    """

    def __init__(
        self,
        *,
        fetch_weights: Wired[bool] = True,
        weights: str | None = None,
        norm: VGGNorm = "none",
        frozen_stages: FrozenBlocks = 0,
        scales: tuple[PositiveFloat, PositiveFloat] = (10.0, 8.0),
    ) -> None:
        """Build, load and freeze.

        Args:
            fetch_weights: Whether to load `weights`; false if a checkpoint is loaded instead.
            weights: As for `vgg16_ssd`.
            norm: As for `vgg16_ssd`.
            frozen_stages: Number of frozen convolution blocks, from the input.
            scales: Initial lengths of each cell of conv4_3 and of conv5_3.

        Raises:
            UserError: The weights cannot be loaded or do not fit.
        """
        last_pool = nn.MaxPool2d(2, stride=2)
        super().__init__(norm=norm, frozen_stages=frozen_stages, last_pool=last_pool, dilation=3)
        self.scale4, self.scale5 = map(length_scale, scales)
        self.feature_specs = [
            FeatureSpec(CHANNELS, 8),
            FeatureSpec(CHANNELS, 16),
            FeatureSpec(FC_CHANNELS, 32),
        ]
        self.finish(weights, fetch_weights)

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) to one map (B, C_l, H / stride, W / stride) per level."""
        conv4, conv5 = self.maps_before([self.pools[3]], images)
        fc7 = self.fully_connected(conv5)
        return [scaled(conv4, self.scale4), scaled(conv5, self.scale5), fc7]
