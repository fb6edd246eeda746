"""Look up rows of each image of a batch."""

from __future__ import annotations

import torch
from torch import Tensor


def take_rows(values: Tensor, index: Tensor) -> Tensor:
    """The rows (B, K, ...) of values (B, P, ...) at the indices (B, K).

    Copies whole rows; on a CPU, `gather` would look up one number at a time.
    """
    images, count = values.shape[:2]
    first = torch.arange(images, device=index.device)[:, None] * count
    rows = values.flatten(0, 1).index_select(0, (index + first).flatten())
    return rows.view(*index.shape, *values.shape[2:])
