"""Spatial pyramid pooling at constant map size: near and far context of each cell."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from detkit.layers.conv import Activation, ConvBlock
from detkit.layers.norm import Norm


class ParallelPooling(nn.Module):
    """Max pools of several sizes in parallel, between two 1x1 convolutions."""

    def __init__(
        self,
        channels: int,
        *,
        kernel_sizes: Sequence[int],
        norm: Norm,
        activation: Activation,
    ) -> None:
        """Build the block.

        Args:
            channels: Input and output channels; half of them are pooled.
            kernel_sizes: Odd sides of the pools.
            norm: Normalisation after each convolution.
            activation: Function after each normalisation.
        """
        super().__init__()
        half = channels // 2
        self.entry = ConvBlock(channels, half, kernel_size=1, norm=norm, activation=activation)
        self.pools = nn.ModuleList(
            nn.MaxPool2d(size, stride=1, padding=size // 2) for size in kernel_sizes
        )
        self.join = ConvBlock(
            half * (1 + len(kernel_sizes)),
            channels,
            kernel_size=1,
            norm=norm,
            activation=activation,
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        entry = self.entry(features)
        joined: Tensor = self.join(torch.cat([entry, *(pool(entry) for pool in self.pools)], dim=1))
        return joined


class SerialPooling(nn.Module):
    """Max pools in series: n pools of side k cover the area of one of side n * (k - 1) + 1."""

    def __init__(
        self,
        channels: int,
        *,
        kernel_size: int,
        times: int,
        norm: Norm,
        activation: Activation,
    ) -> None:
        """Build the block.

        Args:
            channels: Input and output channels; half of them are pooled.
            kernel_size: Odd side of the pool.
            times: Number of pools in series.
            norm: Normalisation after each convolution.
            activation: Function after each normalisation.
        """
        super().__init__()
        half = channels // 2
        self.entry = ConvBlock(channels, half, kernel_size=1, norm=norm, activation=activation)
        self.pool = nn.MaxPool2d(kernel_size, stride=1, padding=kernel_size // 2)
        self.join = ConvBlock(
            half * (1 + times), channels, kernel_size=1, norm=norm, activation=activation
        )
        self._times = times

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        pooled = [self.entry(features)]
        for _ in range(self._times):
            pooled.append(self.pool(pooled[-1]))
        joined: Tensor = self.join(torch.cat(pooled, dim=1))
        return joined
