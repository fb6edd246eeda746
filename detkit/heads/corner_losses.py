"""Losses of heat maps and of embeddings of corners. B images, N objects in each."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def heat_losses(logits: Tensor, heat: Tensor, *, alpha: float, beta: float) -> Tensor:
    """Focal loss of heat maps, with less weight for background near a corner.

    With p = sigmoid(x), a corner, where the heat is 1, costs (1 - p)^alpha * -log(p), any other
    cell (1 - heat)^beta * p^alpha * -log(1 - p).

    Paper: CornerNet: Detecting Objects as Paired Keypoints (Law and Deng, 2018), equation 1,
        https://arxiv.org/abs/1808.01244

    Args:
        logits: (...).
        heat: (...) in 0..1.
        alpha: How strongly cells that are predicted well are down-weighted; 1 or more.
        beta: How strongly background near a corner is down-weighted.
    """
    is_corner = heat == 1
    error = torch.where(is_corner, -logits, logits)  # the logit of a wrong prediction
    weight = torch.where(is_corner, 1, (1 - heat).pow(beta))
    return weight * error.sigmoid().pow(alpha) * F.softplus(error)


def pull_and_push_losses(embeddings: Tensor, mask: Tensor, margin: float) -> tuple[Tensor, Tensor]:
    """Losses that bring an object's corners together and push objects apart.

    The pull loss of an image is the mean over its objects of the squared distances of both corners
    from their mean, the push loss the mean over pairs of objects of max(0, margin - distance of
    their means).

    Paper: CornerNet: Detecting Objects as Paired Keypoints (Law and Deng, 2018), equations 4 and 5,
        https://arxiv.org/abs/1808.01244

    Args:
        embeddings: (B, 2, N) of the corners of each object.
        mask: (B, N) true for objects, false for padding.
        margin: Distance from which objects are far enough apart.

    Returns:
        (B,) pull and (B,) push losses, 0 without objects and without pairs.
    """
    counts = mask.sum(dim=1)  # (B,)
    means = embeddings.mean(dim=1, keepdim=True)
    distances = (embeddings - means).square().sum(dim=1)  # (B, N)
    pull = torch.where(mask, distances, 0).sum(dim=1) / counts.clamp(min=1)
    apart = (means.mT - means).abs()  # (B, N, N)
    numbers = torch.arange(mask.shape[1], device=mask.device)
    is_pair = mask[:, :, None] & mask[:, None] & (numbers[:, None] != numbers)
    push = torch.where(is_pair, (margin - apart).relu(), 0).sum(dim=(1, 2))
    return pull, push / (counts * (counts - 1)).clamp(min=1)
