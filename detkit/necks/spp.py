"""Spatial pyramid pooling on the coarsest level; finer levels pass through."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from detkit.errors import UserError
from detkit.layers import Activation, ParallelPooling, SerialPooling, set_batch_norms
from detkit.registry import Fraction, PositiveFloat, PositiveInt, Wired, register
from detkit.structures import FeatureSpec

_Norm = Literal["none", "batch", "cmbn", "group"]


@register("neck", "spp")
class SPP(nn.Module):
    """Max pools of several sizes on the coarsest level, for a large receptive field.

    Paper: Spatial Pyramid Pooling in Deep Convolutional Networks for Visual Recognition (He et al.,
    2014), https://arxiv.org/abs/1406.4729; in this form in YOLOv4, https://arxiv.org/abs/2004.10934
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        kernel_sizes: tuple[PositiveInt, ...] = (5, 9, 13),
        norm: _Norm = "batch",
        activation: Activation = "leaky_relu",
    ) -> None:
        """Build the block.

        Args:
            feature_specs: The input levels.
            kernel_sizes: Odd sides of the pools, in cells.
            norm: Normalisation after each convolution.
            activation: Function after each normalisation.

        Raises:
            UserError: A side is even.
        """
        super().__init__()
        require_odd("spp", "kernel_sizes", kernel_sizes)
        self.feature_specs = list(feature_specs)
        self.pooling = ParallelPooling(
            feature_specs[-1].channels, kernel_sizes=kernel_sizes, norm=norm, activation=activation
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """L maps to L maps of the same shapes."""
        return [*features[:-1], self.pooling(features[-1])]


@register("neck", "sppf")
class SPPF(nn.Module):
    """Max pools in series on the coarsest level: as `spp`, but cheaper.

    Three pools of side 5 in series equal sides 5, 9 and 13 in parallel.

    Paper: Spatial Pyramid Pooling in Deep Convolutional Networks for Visual Recognition (He et al.,
    2014), https://arxiv.org/abs/1406.4729; in this form in YOLOv5 (release 6)
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        kernel_size: PositiveInt = 5,
        times: PositiveInt = 3,
        norm: _Norm = "batch",
        activation: Activation = "silu",
        norm_eps: PositiveFloat = 1e-5,
        norm_momentum: Fraction = 0.1,
    ) -> None:
        """Build the block.

        Args:
            feature_specs: The input levels.
            kernel_size: Odd side of the pool, in cells.
            times: Number of pools in series.
            norm: Normalisation after each convolution.
            activation: Function after each normalisation.
            norm_eps: Added to the variance in batch norms.
            norm_momentum: Share of a batch in the running statistics.

        Raises:
            UserError: The side is even.
        """
        super().__init__()
        require_odd("sppf", "kernel_size", (kernel_size,))
        self.feature_specs = list(feature_specs)
        self.pooling = SerialPooling(
            feature_specs[-1].channels,
            kernel_size=kernel_size,
            times=times,
            norm=norm,
            activation=activation,
        )
        set_batch_norms(self, eps=norm_eps, momentum=norm_momentum)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """L maps to L maps of the same shapes."""
        return [*features[:-1], self.pooling(features[-1])]


def require_odd(neck: str, argument: str, sizes: tuple[int, ...]) -> None:
    """Refuse pools with an even side.

    Raises:
        UserError: A side is even.
    """
    even = [size for size in sizes if size % 2 == 0]
    if even:
        raise UserError(
            f"neck '{neck}': {argument} {even[0]} is even, but only an odd pool has a centre: use "
            f"{even[0] - 1} or {even[0] + 1}."
        )
