"""Top-k selection with a count per image, for samplers."""

from __future__ import annotations

import torch
from torch import Tensor


def highest(values: Tensor, among: Tensor, counts: Tensor, most: int) -> Tensor:
    """Mask of the members with the highest values, with a count per image.

    Args:
        values: (B, P) finite, or NaN, which ranks highest so that it stays visible.
        among: (B, P) bool, the members.
        counts: (B,) members to select; all are selected if there are fewer.
        most: Upper bound of `counts`.

    Returns:
        (B, P) bool.
    """
    most = min(most, values.shape[1])
    ranked = values.masked_fill(~among, -torch.inf).topk(most, dim=1).indices  # (B, most)
    available_counts = counts.minimum(among.sum(dim=1))
    is_selected = torch.arange(most, device=values.device) < available_counts[:, None]
    return torch.zeros_like(among).scatter_(1, ranked, is_selected)
