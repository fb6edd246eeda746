"""One learnable factor."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Scale(nn.Module):
    """Multiplies by one learnable number, so that levels that share layers can differ in range."""

    def __init__(self, initial: float = 1.0) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(initial))

    def forward(self, values: Tensor) -> Tensor:
        """The values times the factor."""
        return values * self.factor
