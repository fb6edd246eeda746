"""The neck of the first YOLO: four convolutions, the second of which halves the map."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from detkit.layers import Activation, ConvBlock
from detkit.registry import PositiveInt, Wired, register
from detkit.structures import FeatureSpec

_Norm = Literal["none", "batch", "cmbn", "group"]
_STRIDES = (1, 2, 1, 1)


@register("neck", "yolov1")
class YOLOv1Neck(nn.Module):
    """Four 3x3 convolutions on the coarsest level, to one map of half its height and width.

    Paper: You Only Look Once (Redmon et al., 2016), section 2.2, https://arxiv.org/abs/1506.02640
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        out_channels: PositiveInt = 1024,
        norm: _Norm = "batch",
        activation: Activation = "leaky_relu",
    ) -> None:
        """Build the neck.

        Args:
            feature_specs: The input levels; only the coarsest is used.
            out_channels: Output channels of each convolution.
            norm: Normalisation after each convolution.
            activation: Function after each normalisation.
        """
        super().__init__()
        coarsest = feature_specs[-1]
        widths = (coarsest.channels, *(out_channels for _ in _STRIDES[1:]))
        self.convs = nn.Sequential(
            *(
                ConvBlock(width, out_channels, stride=stride, norm=norm, activation=activation)
                for width, stride in zip(widths, _STRIDES, strict=True)
            )
        )
        self.feature_specs = [FeatureSpec(out_channels, 2 * coarsest.stride)]

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """L maps to one map (B, out_channels, H_L / 2, W_L / 2), rounded up."""
        return [self.convs(features[-1])]
