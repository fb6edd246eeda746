"""The transfer connections of RefineDet."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional as F

from detkit.layers.initialisation import uniform_convolutions
from detkit.necks.extra_levels import require_doubling
from detkit.registry import PositiveInt, Wired, register
from detkit.structures import FeatureSpec


@register("neck", "transfer_connection")
class TransferConnection(nn.Module):
    """Transfers levels to a second step, and adds coarse levels to finer ones on the way.

    Each level passes two 3x3 convolutions; the output of the next coarser level, enlarged by a
    transposed convolution, is added; another 3x3 convolution follows.

    Paper: Single-Shot Refinement Neural Network for Object Detection (Zhang et al., 2018), figure
        2, https://arxiv.org/abs/1711.06897

    Args:
        feature_specs: The input levels, whose strides double from one to the next.
        out_channels: Channels of each output level.
    """

    def __init__(
        self, *, feature_specs: Wired[list[FeatureSpec]], out_channels: PositiveInt = 256
    ) -> None:
        super().__init__()
        require_doubling("transfer_connection", feature_specs)
        self.entry = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(spec.channels, out_channels, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(out_channels, out_channels, 3, padding=1),
            )
            for spec in feature_specs
        )
        self.enlarge = nn.ModuleList(
            nn.ConvTranspose2d(out_channels, out_channels, 2, stride=2) for _ in feature_specs[1:]
        )
        limit = math.sqrt(3 / out_channels)
        self.output = nn.ModuleList(
            nn.Conv2d(out_channels, out_channels, 3, padding=1) for _ in feature_specs
        )
        uniform_convolutions(self)
        for layer in self.enlarge:  # whose output cells depend on one cell of each channel
            nn.init.uniform_(layer.weight, -limit, limit)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.feature_specs = [FeatureSpec(out_channels, spec.stride) for spec in feature_specs]

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Maps (B, C_l, H_l, W_l) to maps (B, out_channels, H_l, W_l)."""
        merged = [entry(level) for entry, level in zip(self.entry, features, strict=True)]
        outputs: list[Tensor] = []
        for level in range(len(merged) - 1, -1, -1):
            total = merged[level]
            if outputs:
                coarse = self.enlarge[level](outputs[0])
                # An odd map is a row or a column larger or smaller than twice the coarser one.
                coarse = F.interpolate(coarse, size=total.shape[-2:], mode="nearest")
                total = total + coarse
            outputs.insert(0, F.relu(self.output[level](F.relu(total))))
        return outputs
