"""Effective receptive fields: how much each pixel moves the unit in the middle of a level."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_LEAST_SHARE = 1 - 0.9545  # of the strongest pixel, as in the paper: two standard deviations


@dataclass(frozen=True)
class EffectiveField:
    """The influence of each pixel on the unit in the middle of one feature level.

    Attributes:
        influence: (H, W) 0 to 1, the mean size of the gradient.
    """

    influence: NDArray[np.float64]

    @property
    def side(self) -> float:
        """Side of a square with as many pixels as have at least 4.55 % of the largest influence."""
        return float(np.sqrt((self.influence >= _LEAST_SHARE).sum()))


def effective_fields(
    features: Callable[[Tensor], list[Tensor]],
    size: tuple[int, int],
    *,
    images: int = 8,
    seed: int = 0,
    channels: int = 3,
) -> list[EffectiveField]:
    """The effective receptive field of each level, by gradients on images of noise.

    The gradient of the sum over the channels of the unit in the middle; its size, summed over
    the colours and averaged over the images.

    Paper: Understanding the Effective Receptive Field in Deep Convolutional Neural Networks (Luo
    et al., 2016), https://arxiv.org/abs/1701.04128. There, each image is a random one and the
    network has one output channel; several channels are summed here.

    Args:
        features: Normalised images (1, 3, H, W) to levels (1, C, H_l, W_l).
        size: Height and width of the images.
        images: How many images to average over.
        seed: Of the noise.
        channels: Channels of the images.
    """
    generator = torch.Generator().manual_seed(seed)
    sums: list[Tensor] = []
    for _ in range(images):
        noise = torch.randn(1, channels, *size, generator=generator).requires_grad_()
        levels = features(noise)
        sums = sums or [torch.zeros(size, dtype=torch.float64) for _ in levels]
        for total, level in zip(sums, levels, strict=True):
            middle = level[0, :, level.shape[2] // 2, level.shape[3] // 2].sum()
            (gradient,) = torch.autograd.grad(middle, noise, retain_graph=True)
            total.add_(gradient[0].abs().sum(0))
    largest = [max(float(total.max()), torch.finfo(torch.float64).tiny) for total in sums]
    return [
        EffectiveField((total / peak).numpy()) for total, peak in zip(sums, largest, strict=True)
    ]
