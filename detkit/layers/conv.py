"""The convolution block of necks and heads."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

from torch import Tensor, nn

from detkit.layers.norm import Norm, make_norm

Activation = Literal["none", "relu", "leaky_relu", "silu", "mish"]
_ACTIVATIONS: dict[Activation, Callable[[], nn.Module]] = {
    "none": nn.Identity,
    "relu": nn.ReLU,
    "leaky_relu": partial(nn.LeakyReLU, 0.1),  # as in Darknet
    "silu": nn.SiLU,
    "mish": nn.Mish,
}


def make_activation(activation: Activation) -> nn.Module:
    """Build an activation function by name."""
    return _ACTIVATIONS[activation]()


class ConvBlock(nn.Module):
    """Convolution, normalisation and activation; keeps the size at stride 1."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int = 3,
        stride: int = 1,
        norm: Norm = "none",
        activation: Activation = "relu",
        groups: int = 1,
    ) -> None:
        """Build the block.

        The convolution has no bias if batch normalisation would cancel it. With group
        normalisation, channels of a group share a mean, so a bias still has an effect.

        Args:
            in_channels: Input channels.
            out_channels: Output channels.
            kernel_size: Side length of the kernel; padding is (kernel_size - 1) // 2.
            stride: Stride of the kernel.
            norm: Normalisation after the convolution.
            activation: Function after the normalisation.
            groups: Groups of channels that the convolution does not mix.
        """
        super().__init__()
        has_bias = norm in ("none", "group")
        padding = (kernel_size - 1) // 2
        self.conv = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=has_bias
        )
        self.norm = make_norm(norm, out_channels)
        self.activation = make_activation(activation)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C_in, H, W) to (B, C_out, H / stride, W / stride), rounded up."""
        activated: Tensor = self.activation(self.norm(self.conv(features)))
        return activated
