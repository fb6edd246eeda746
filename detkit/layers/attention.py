"""Attention blocks that reweight a feature map. B images, C channels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from detkit.layers.conv import ConvBlock
from detkit.layers.norm import Norm


class CBAM(nn.Module):
    """Channel attention, then spatial attention, each from mean and maximum over the other axes.

    Paper: CBAM: Convolutional Block Attention Module (Woo et al., 2018), equations 2 and 3,
        https://arxiv.org/abs/1807.06521
    """

    def __init__(self, channels: int, *, hidden_channels: int, kernel_size: int) -> None:
        """Build the block.

        Args:
            channels: C.
            hidden_channels: Hidden units of the channel attention.
            kernel_size: Odd kernel size of the spatial attention.
        """
        super().__init__()
        self.squeeze = nn.Linear(channels, hidden_channels)
        self.expand = nn.Linear(hidden_channels, channels)
        self.places = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        summaries = torch.stack([features.mean((2, 3)), features.amax((2, 3))])  # (2, B, C)
        channels = self.expand(self.squeeze(summaries).relu()).sum(0)  # (B, C)
        features = features * channels.sigmoid()[:, :, None, None]
        summary = torch.cat([features.mean(1, True), features.amax(1, True)], dim=1)
        weighed: Tensor = features * self.places(summary).sigmoid()  # (B, 2, H, W) to (B, 1, H, W)
        return weighed


class PointwiseAttention(nn.Module):
    """Spatial attention by a 1x1 convolution, with one weight per value.

    Paper: YOLOv4: Optimal Speed and Accuracy of Object Detection (Bochkovskiy et al., 2020),
        section 3.3, "SAM-block", https://arxiv.org/abs/2004.10934
    """

    def __init__(self, channels: int, *, norm: Norm) -> None:
        """Build the block.

        Args:
            channels: C.
            norm: Normalisation after the convolution.
        """
        super().__init__()
        self.convolution = ConvBlock(
            channels, channels, kernel_size=1, norm=norm, activation="none"
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        weighed: Tensor = features * self.convolution(features).sigmoid()
        return weighed
