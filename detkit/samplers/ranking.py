"""What samplers that keep a number of priors share."""

from __future__ import annotations

import torch
from torch import Tensor


def highest(values: Tensor, among: Tensor, counts: Tensor, most: int) -> Tensor:
    """A mask of the members with the highest values, so many in each image.

    Args:
        values: (B, P) finite, or NaN, which ranks highest so that it is not hidden.
        among: (B, P) bool, the members.
        counts: (B,) members wanted; all are chosen where there are fewer.
        most: What no entry of `counts` is above.

    Returns:
        (B, P) bool.
    """
    most = min(most, values.shape[1])
    found = values.masked_fill(~among, -torch.inf).topk(most, dim=1).indices  # (B, most)
    wanted = counts.minimum(among.sum(dim=1))
    chosen = torch.arange(most, device=values.device) < wanted[:, None]
    return torch.zeros_like(among).scatter_(1, found, chosen)
