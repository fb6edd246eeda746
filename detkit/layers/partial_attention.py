"""Self-attention on half of the channels of a map. B images, C channels, T = H * W cells."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from detkit.layers.conv import Activation, ConvBlock
from detkit.layers.norm import Norm

_HEAD_CHANNELS = 64  # of the values in each attention head, at least


class PartialAttention(nn.Module):
    """Half of the channels pass through attention blocks, the other half bypasses them.

    Paper: YOLOv10: Real-Time End-to-End Object Detection (Wang et al., 2024), section 3.2,
        https://arxiv.org/abs/2405.14458; with several blocks in YOLO11 (C2PSA)
    """

    def __init__(self, channels: int, *, blocks: int, norm: Norm, activation: Activation) -> None:
        """Build the stage.

        Args:
            channels: Input and output channels.
            blocks: Attention blocks in a row.
            norm: Normalisation after each convolution.
            activation: Function after the normalisations of the stage and of the feed-forward
                networks; attention has none.
        """
        super().__init__()
        half = channels // 2
        self.entry = ConvBlock(channels, 2 * half, kernel_size=1, norm=norm, activation=activation)
        self.blocks = nn.Sequential(
            *(_AttentionBlock(half, norm=norm, activation=activation) for _ in range(blocks))
        )
        self.join = ConvBlock(2 * half, channels, kernel_size=1, norm=norm, activation=activation)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        past, through = self.entry(features).chunk(2, dim=1)
        joined: Tensor = self.join(torch.cat([past, self.blocks(through)], dim=1))
        return joined


class _AttentionBlock(nn.Module):
    """Attention, then a feed-forward network of 1x1 convolutions; both add their input."""

    def __init__(self, channels: int, *, norm: Norm, activation: Activation) -> None:
        super().__init__()
        self.attention = _MapAttention(channels, norm=norm)
        self.feed_forward = nn.Sequential(
            ConvBlock(channels, 2 * channels, kernel_size=1, norm=norm, activation=activation),
            ConvBlock(2 * channels, channels, kernel_size=1, norm=norm, activation="none"),
        )

    def forward(self, features: Tensor) -> Tensor:
        features = features + self.attention(features)
        attended: Tensor = features + self.feed_forward(features)
        return attended


class _MapAttention(nn.Module):
    """Attention between all cells; a depthwise convolution of the values encodes positions.

    Queries and keys have half of the channels of the values.
    """

    def __init__(self, channels: int, *, norm: Norm) -> None:
        super().__init__()
        self._heads = _count_heads(channels)
        values = channels // self._heads
        keys = max(1, values // 2)
        self._sizes = [keys, keys, values]
        outputs = self._heads * sum(self._sizes)
        self.projection = ConvBlock(channels, outputs, kernel_size=1, norm=norm, activation="none")
        self.positions = ConvBlock(
            channels, channels, norm=norm, activation="none", groups=channels
        )
        self.output = ConvBlock(channels, channels, kernel_size=1, norm=norm, activation="none")

    def forward(self, features: Tensor) -> Tensor:
        projected = self.projection(features).unflatten(1, (self._heads, -1))
        tokens = projected.flatten(3).transpose(2, 3)  # (B, heads, T, 2 * keys + values)
        query, key, value = tokens.split(self._sizes, dim=-1)
        # Explicit products are bit-equal to Ultralytics' outputs; torch's fused attention rounds
        # differently.
        weights = (query * self._sizes[0] ** -0.5 @ key.transpose(2, 3)).softmax(dim=-1)
        mixed = weights @ value  # (B, heads, T, values)
        mixed_map, value_map = (t.transpose(2, 3).reshape(features.shape) for t in (mixed, value))
        attended: Tensor = self.output(mixed_map + self.positions(value_map))
        return attended


def _count_heads(channels: int) -> int:
    """The most heads of equal size with 64 or more channels; one head if there are fewer."""
    most = max(1, channels // _HEAD_CHANNELS)
    return next(heads for heads in range(most, 0, -1) if channels % heads == 0)
