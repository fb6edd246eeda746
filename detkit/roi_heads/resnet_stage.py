"""The last stage of a ResNet as a box head, for detectors without a pyramid."""

from __future__ import annotations

from functools import partial
from typing import Literal

from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck

from detkit.errors import UserError
from detkit.layers import make_norm
from detkit.registry import PositiveInt, Wired, register

_LEAST_CHANNELS = 4  # of a bottleneck, whose middle has a quarter of what goes out


@register("box_head", "resnet_stage")
class ResNetStage(nn.Module):
    """Bottleneck blocks that halve the small map and double its channels, then average pooling.

    With a ResNet-50 cut after stride 16 (levels [4]) and regions of 14 x 14 cells this is the
    detector of the ResNet paper, where the stage of stride 32 looks at regions instead of images.

    Paper: Deep Residual Learning for Image Recognition (He et al., 2016), appendix A,
    https://arxiv.org/abs/1512.03385

    Args:
        blocks: Bottleneck blocks; 3 are the last stage of ResNet-50 and ResNet-101.
        norm: Normalisation in the blocks.
    """

    def __init__(
        self,
        *,
        region_shape: Wired[tuple[int, int, int]],
        blocks: PositiveInt = 3,
        norm: Literal["batch", "group"] = "batch",
    ) -> None:
        super().__init__()
        channels = region_shape[0]
        if channels < _LEAST_CHANNELS or channels % 2:
            raise UserError(
                f"box head 'resnet_stage' doubles the channels of a level, in blocks of a quarter "
                f"of that, so it needs an even number of 4 or more, got {channels}."
            )
        make = partial(make_norm, norm)
        middle, self.out_channels = channels // 2, channels * 2
        shortcut = nn.Sequential(
            nn.Conv2d(channels, self.out_channels, 1, stride=2, bias=False), make(self.out_channels)
        )
        first = Bottleneck(channels, middle, stride=2, downsample=shortcut, norm_layer=make)
        further_blocks = (
            Bottleneck(self.out_channels, middle, norm_layer=make) for _ in range(blocks - 1)
        )
        self.blocks = nn.Sequential(first, *further_blocks)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, regions: Tensor) -> Tensor:
        """(M, C, h, w) to (M, 2 C)."""
        features: Tensor = self.blocks(regions).mean(dim=(2, 3))
        return features
