"""Darknet's residual blocks, and cross-stage partial (CSP) stages of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from detkit.layers.conv import Activation, ConvBlock
from detkit.layers.norm import Norm

StageKind = Literal["c3", "c2f", "c3k2", "c3k2_nested"]
SplitBlock = Literal["wide", "narrow", "csp"]
_NESTED_BLOCKS = 2  # of a CSP stage inside a split stage


class Residual(nn.Module):
    """A 1x1 convolution, or another 3x3, and a 3x3 one with a residual connection."""

    def __init__(
        self,
        channels: int,
        *,
        inner_channels: int,
        norm: Norm,
        activation: Activation,
        shortcut: bool = True,
        first_kernel: int = 1,
    ) -> None:
        """Build the block.

        Args:
            channels: Input and output channels.
            inner_channels: Channels between the convolutions.
            norm: Normalisation after each convolution.
            activation: Function after each normalisation.
            shortcut: Whether to add the input.
            first_kernel: Side of the first kernel.
        """
        super().__init__()
        self.squeeze = ConvBlock(
            channels, inner_channels, kernel_size=first_kernel, norm=norm, activation=activation
        )
        self.spread = ConvBlock(inner_channels, channels, norm=norm, activation=activation)
        self._shortcut = shortcut

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        residual: Tensor = self.spread(self.squeeze(features))
        return features + residual if self._shortcut else residual


class CSPStage(nn.Module):
    """Cross-stage partial stage: half of the channels bypass the residual blocks.

    Paper: CSPNet: A New Backbone that can Enhance Learning Capability of CNN (Wang et al., 2019),
        https://arxiv.org/abs/1911.11929

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        blocks: Residual blocks in a row.
        norm: Normalisation after each convolution.
        activation: Function after each normalisation.
        half_channels: Channels of each half; None takes half of the output channels.
        inner_channels: Channels inside a block; None takes `half_channels`.
        shortcut: Whether blocks add their input.
        transition: Whether a 1x1 convolution follows the blocks (YOLOv4; not YOLOv5).
        first_kernel: Side of the first kernel of each block.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        blocks: int,
        norm: Norm,
        activation: Activation,
        half_channels: int | None = None,
        inner_channels: int | None = None,
        shortcut: bool = True,
        transition: bool = False,
        first_kernel: int = 1,
    ) -> None:
        super().__init__()
        half = half_channels or out_channels // 2
        self.past = ConvBlock(in_channels, half, kernel_size=1, norm=norm, activation=activation)
        self.entry = ConvBlock(in_channels, half, kernel_size=1, norm=norm, activation=activation)
        self.blocks = nn.Sequential(
            *(
                Residual(
                    half,
                    inner_channels=inner_channels or half,
                    norm=norm,
                    activation=activation,
                    shortcut=shortcut,
                    first_kernel=first_kernel,
                )
                for _ in range(blocks)
            )
        )
        if transition:
            self.blocks.append(
                ConvBlock(half, half, kernel_size=1, norm=norm, activation=activation)
            )
        self.join = ConvBlock(
            2 * half, out_channels, kernel_size=1, norm=norm, activation=activation
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, C_in, H, W) to (B, C_out, H, W)."""
        through = self.blocks(self.entry(features))
        joined: Tensor = self.join(torch.cat([through, self.past(features)], dim=1))
        return joined


class SplitStage(nn.Module):
    """Some channels pass through blocks; the outputs of all blocks are joined (C2f, C3k2).

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        blocks: Blocks in a row.
        norm: Normalisation after each convolution.
        activation: Function after each normalisation.
        half_channels: Channels of each half of the input; None takes half of the output
            channels.
        shortcut: Whether blocks add their input.
        block: `wide`: two 3x3 convolutions (YOLOv8). `narrow`: the same with half of the
            channels between them. `csp`: a CSP stage of two `wide` blocks (both YOLO11).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        blocks: int,
        norm: Norm,
        activation: Activation,
        half_channels: int | None = None,
        shortcut: bool = True,
        block: SplitBlock = "wide",
    ) -> None:
        super().__init__()
        half = half_channels or out_channels // 2
        self.entry = ConvBlock(
            in_channels, 2 * half, kernel_size=1, norm=norm, activation=activation
        )

        def build() -> nn.Module:
            if block == "csp":
                return CSPStage(
                    half,
                    half,
                    blocks=_NESTED_BLOCKS,
                    norm=norm,
                    activation=activation,
                    shortcut=shortcut,
                    first_kernel=3,
                )
            return Residual(
                half,
                inner_channels=half if block == "wide" else half // 2,
                norm=norm,
                activation=activation,
                shortcut=shortcut,
                first_kernel=3,
            )

        self.blocks = nn.ModuleList(build() for _ in range(blocks))
        self.join = ConvBlock(
            (2 + blocks) * half, out_channels, kernel_size=1, norm=norm, activation=activation
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, C_in, H, W) to (B, C_out, H, W)."""
        parts = list(self.entry(features).chunk(2, dim=1))
        for block in self.blocks:
            parts.append(block(parts[-1]))
        joined: Tensor = self.join(torch.cat(parts, dim=1))
        return joined


STAGES: dict[StageKind, Callable[..., CSPStage | SplitStage]] = {
    "c3": CSPStage,
    "c2f": SplitStage,
    "c3k2": partial(SplitStage, block="narrow"),
    "c3k2_nested": partial(SplitStage, block="csp"),
}
