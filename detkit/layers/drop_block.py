"""Dropout of whole regions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def drop_block(features: Tensor, keep_probability: Tensor, block_size: int) -> Tensor:
    """Zero squares of each channel and scale the rest, so that the mean stays.

    Paper: DropBlock: A regularization method for convolutional networks (Ghiasi et al., 2018),
        algorithm 1 and equation 1, https://arxiv.org/abs/1810.12890

    torchvision's takes a number, and a tensor saves waiting for the device at each step. A map
    smaller than a block has blocks of its smaller side. Random numbers are of torch's global
    generator.

    Args:
        features: (B, C, H, W).
        keep_probability: () share of values that are kept.
        block_size: Side of a square, in cells.
    """
    height, width = features.shape[-2:]
    side = min(block_size, height, width)
    inside = (height - side + 1) * (width - side + 1)  # places that a whole block fits at
    rate = (1 - keep_probability) / side**2 * (height * width / inside)
    corners = torch.rand(
        (*features.shape[:2], height - side + 1, width - side + 1), device=features.device
    )
    dropped = (corners < rate).to(features.dtype)
    dropped = F.max_pool2d(F.pad(dropped, [side - 1] * 4), side, stride=1)
    kept = 1 - dropped
    return (
        features
        * kept
        * (kept.numel() / kept.sum(dtype=torch.float32).clamp(min=1)).to(features.dtype)
    )
