"""A convolution whose weights differ from cell to cell."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_SIDE = 3  # of the kernel


class LocalConv(nn.Module):
    """A 3x3 convolution with its own weights and biases at each cell; PyTorch has none.

    The order of the weights is Darknet's: cell, output channel, then input channel, row and column
    of the kernel.
    """

    def __init__(self, in_channels: int, out_channels: int, size: tuple[int, int]) -> None:
        """Draw the weights.

        Args:
            in_channels: Input channels.
            out_channels: Output channels.
            size: Height and width of the maps, in cells.
        """
        super().__init__()
        self.size = size
        inputs, cells = in_channels * _SIDE**2, size[0] * size[1]
        self.weight = nn.Parameter(torch.empty(cells, out_channels, inputs))
        self.bias = nn.Parameter(torch.zeros(out_channels, cells))
        bound = inputs**-0.5  # as in nn.Conv2d
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C_in, H, W) to (B, C_out, H, W)."""
        height, width = self.size
        padded = F.pad(features, (1, 1, 1, 1))
        shifted = [
            padded[:, :, row : row + height, column : column + width]
            for row in range(_SIDE)
            for column in range(_SIDE)
        ]
        # (B, C_in, 9, H, W) to (H * W, C_in * 9, B)
        patches = torch.stack(shifted, dim=2).flatten(3).flatten(1, 2).permute(2, 1, 0)
        outputs = torch.bmm(self.weight, patches).permute(2, 1, 0) + self.bias  # (B, C_out, H * W)
        return outputs.reshape(outputs.shape[0], -1, height, width)
