"""Bottleneck blocks of residual networks."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from detkit.layers.norm import Norm, make_norm


class Bottleneck(nn.Module):
    """A 1x1, a 3x3 and a 1x1 convolution with norms, added to the input.

    torchvision's block has no dilation of its own and fixes the expansion to 4.
    """

    def __init__(
        self,
        in_channels: int,
        inner_channels: int,
        out_channels: int,
        *,
        norm: Norm,
        stride: int = 1,
        dilation: int = 1,
        projects: bool = False,
    ) -> None:
        """Build the block.

        Args:
            in_channels: Input channels.
            inner_channels: Channels of the 3x3 convolution.
            out_channels: Output channels.
            norm: Normalisation after each convolution.
            stride: Stride of the 3x3 convolution.
            dilation: Dilation of the 3x3 convolution.
            projects: Whether a 1x1 convolution and a norm change the input before the sum.
        """
        super().__init__()
        self.squeeze = nn.Conv2d(in_channels, inner_channels, 1, bias=False)
        self.norm1 = make_norm(norm, inner_channels)
        self.spatial = nn.Conv2d(
            inner_channels, inner_channels, 3, stride, dilation, dilation, bias=False
        )
        self.norm2 = make_norm(norm, inner_channels)
        self.expand = nn.Conv2d(inner_channels, out_channels, 1, bias=False)
        self.norm3 = make_norm(norm, out_channels)
        self.shortcut = nn.Sequential()
        if projects:
            self.shortcut.append(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False))
            self.shortcut.append(make_norm(norm, out_channels))

    def forward(self, features: Tensor) -> Tensor:
        """(B, C_in, H, W) to (B, C_out, H / stride, W / stride), rounded up."""
        inner = F.relu(self.norm1(self.squeeze(features)))
        inner = F.relu(self.norm2(self.spatial(inner)))
        return F.relu(self.norm3(self.expand(inner)) + self.shortcut(features))


class PreactivatedBottleneck(nn.Module):
    """A bottleneck whose norms and activations come before its convolutions.

    Paper: Identity Mappings in Deep Residual Networks (He et al., 2016),
        https://arxiv.org/abs/1603.05027
    """

    def __init__(self, in_channels: int, out_channels: int, *, norm: Norm, stride: int = 1) -> None:
        """Build the block, which has a quarter of the output channels inside.

        Args:
            in_channels: Input channels.
            out_channels: Output channels.
            norm: Normalisation before each convolution.
            stride: Stride of the 3x3 convolution.
        """
        super().__init__()
        inner = out_channels // 4
        self.norm1 = make_norm(norm, in_channels)
        self.squeeze = nn.Conv2d(in_channels, inner, 1, bias=False)
        self.norm2 = make_norm(norm, inner)
        self.spatial = nn.Conv2d(inner, inner, 3, stride, 1, bias=False)
        self.norm3 = make_norm(norm, inner)
        self.expand = nn.Conv2d(inner, out_channels, 1, bias=False)
        self.projects = in_channels != out_channels or stride != 1
        if self.projects:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C_in, H, W) to (B, C_out, H / stride, W / stride), rounded up."""
        active = F.relu(self.norm1(features))
        inner = F.relu(self.norm2(self.squeeze(active)))
        inner = F.relu(self.norm3(self.spatial(inner)))
        residual: Tensor = self.expand(inner)
        return residual + (self.shortcut(active) if self.projects else features)
