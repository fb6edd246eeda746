"""Corner pooling: find a corner of a box from the object's sides that meet in it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from detkit.layers.conv import ConvBlock
from detkit.layers.norm import Norm

_DOUBLINGS = 12  # a graph's running maximum reaches over 4,096 cells


class CornerPooling(nn.Module):
    """Features of the top left or bottom right corners of objects.

    A corner lies outside of most objects. The topmost point of an object is somewhere right of its
    top left corner, and the leftmost point below it. So one convolution's output is pooled over all
    cells to the right, and another's over all cells below; to the left and above for the bottom
    right corner.

    Paper: CornerNet: Detecting Objects as Paired Keypoints (Law and Deng, 2018), section 3.4,
        https://arxiv.org/abs/1808.01244
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        width: int,
        top_left: bool,
        norm: Norm = "batch",
    ) -> None:
        """Build the block.

        Args:
            in_channels: Input channels.
            out_channels: Output channels.
            width: Channels of the pooled maps.
            top_left: Whether to find top left corners; else bottom right ones.
            norm: Normalisation after each convolution.
        """
        super().__init__()
        self._top_left = top_left
        self.rows = ConvBlock(in_channels, width, norm=norm)
        self.columns = ConvBlock(in_channels, width, norm=norm)
        self.pooled = ConvBlock(width, out_channels, norm=norm, activation="none")
        self.shortcut = ConvBlock(
            in_channels, out_channels, kernel_size=1, norm=norm, activation="none"
        )
        self.output = ConvBlock(out_channels, out_channels, norm=norm)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C_in, H, W) to (B, C_out, H, W)."""
        along_rows = running_maximum(self.rows(features), -1, reverse=self._top_left)
        along_columns = running_maximum(self.columns(features), -2, reverse=self._top_left)
        pooled = self.pooled(along_rows + along_columns)
        corners: Tensor = self.output(F.relu(pooled + self.shortcut(features)))
        return corners


def running_maximum(maps: Tensor, axis: int, *, reverse: bool) -> Tensor:
    """The maximum of each cell and all cells before it along an axis, or after it in reverse.

    ONNX has no running maximum. An exported graph doubles the reach of a maximum until it covers
    the axis, which works for any size.

    Args:
        maps: (B, C, H, W), 0 or more, as after ReLU.
        axis: -1 runs along each row, -2 along each column.
        reverse: Whether to start at the last cell.
    """
    if torch.compiler.is_exporting():
        return _doubled_maximum(maps, axis, reverse=reverse)
    maps = maps.flip(axis) if reverse else maps
    values: Tensor = maps.cummax(dim=axis).values
    return values.flip(axis) if reverse else values


def _doubled_maximum(maps: Tensor, axis: int, *, reverse: bool) -> Tensor:
    rows = maps.mT if axis == -2 else maps  # noqa: PLR2004  # of columns
    for step in (2**power for power in range(_DOUBLINGS)):
        padded = F.pad(rows, (0, step) if reverse else (step, 0))
        rows = rows.maximum(padded[..., step:] if reverse else padded[..., :-step])
    return rows.mT if axis == -2 else rows  # noqa: PLR2004  # of columns
