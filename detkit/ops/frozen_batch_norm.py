"""Batch normalisation with fixed statistics."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class FrozenBatchNorm(nn.Module):
    """Batch norm whose statistics and affine parameters are buffers, in one operation on the map.

    torchvision's `FrozenBatchNorm2d` holds the same buffers but takes two operations, and importing
    it takes longer than importing PyTorch. `F.batch_norm` in evaluation mode is as fast forward but
    takes twice as long backward (CPU).
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.register_buffer("weight", torch.ones(channels))
        self.register_buffer("bias", torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Ignore the batch counter, which the weights of a trainable batch norm contain."""
        state_dict.pop(prefix + "num_batches_tracked", None)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W), normalised by the frozen statistics."""
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        shift = self.bias - self.running_mean * scale
        scale, shift = (v.to(features.dtype).view(1, -1, 1, 1) for v in (scale, shift))
        return torch.addcmul(shift, features, scale)

    def extra_repr(self) -> str:
        """The channels and the constant, for `print`."""
        return f"{len(self.weight)}, eps={self.eps}"
