"""DropBlock: dropout of whole regions."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def drop_block(features: Tensor, keep_probability: Tensor, block_size: int) -> Tensor:
    """Zero random squares of each channel and rescale the remaining values to keep the mean.

    Paper: DropBlock: A regularization method for convolutional networks (Ghiasi et al., 2018),
        algorithm 1 and equation 1, https://arxiv.org/abs/1810.12890

    Unlike torchvision's, it takes the probability as a tensor, which avoids a device
    synchronisation at each step. On a map smaller than a block, the block shrinks to its smaller
    side. Random numbers come from torch's global generator.

    Args:
        features: (B, C, H, W).
        keep_probability: () expected share of values to keep.
        block_size: Side of a square, in cells.
    """
    height, width = features.shape[-2:]
    side = min(block_size, height, width)
    inside = (height - side + 1) * (width - side + 1)  # positions that fit a whole block
    rate = (1 - keep_probability) / side**2 * (height * width / inside)
    corners = torch.rand(
        (*features.shape[:2], height - side + 1, width - side + 1), device=features.device
    )
    dropped = (corners < rate).to(features.dtype)
    dropped = F.max_pool2d(F.pad(dropped, [side - 1] * 4), side, stride=1)
    mask = 1 - dropped
    return (
        features
        * mask
        * (mask.numel() / mask.sum(dtype=torch.float32).clamp(min=1)).to(features.dtype)
    )
