"""Darknet's residual blocks, and cross-stage partial (CSP) stages of them."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from detkit.layers.conv import Activation, ConvBlock
from detkit.layers.norm import Norm

StageKind = Literal["c3", "c2f"]


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
    ) -> None:
        """Build the stage.

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
        """
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
    """Half of the channels pass through blocks; all their outputs are joined (C2f in YOLOv8)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        blocks: int,
        norm: Norm,
        activation: Activation,
        shortcut: bool = True,
    ) -> None:
        """Build the stage.

        Args:
            in_channels: Input channels.
            out_channels: Output channels.
            blocks: Residual blocks in a row, of two 3x3 convolutions each.
            norm: Normalisation after each convolution.
            activation: Function after each normalisation.
            shortcut: Whether blocks add their input.
        """
        super().__init__()
        half = out_channels // 2
        self.entry = ConvBlock(
            in_channels, 2 * half, kernel_size=1, norm=norm, activation=activation
        )
        self.blocks = nn.ModuleList(
            Residual(
                half,
                inner_channels=half,
                norm=norm,
                activation=activation,
                shortcut=shortcut,
                first_kernel=3,
            )
            for _ in range(blocks)
        )
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


STAGES: dict[StageKind, type[CSPStage | SplitStage]] = {"c3": CSPStage, "c2f": SplitStage}
