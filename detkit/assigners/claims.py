"""Priors that several objects claim, and priors that none does."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from detkit.structures import BACKGROUND, PaddedTargets


def unmatched(priors: Tensor, targets: PaddedTargets, value: float) -> Tensor:
    """(B, P) a value for each prior, for priors (P, 4) or (B, P, 4)."""
    return priors.new_full((targets.boxes.shape[0], priors.shape[-2]), value)


class Claims(NamedTuple):
    """The priors that N objects of each image claim, K each.

    Attributes:
        prior: (B, N, K) index of a prior; an object claims a prior once.
        rank: (B, N, K) of several claims to a prior the highest wins.
        valid: (B, N, K) bool, whether it is a claim.
    """

    prior: Tensor
    rank: Tensor
    valid: Tensor


def winners(claims: Claims, priors: int) -> tuple[Tensor, Tensor]:
    """Resolve claims to the same prior; the first of two objects with equal claims wins.

    Returns:
        (B, priors) the object that gets each prior, or BACKGROUND; (B, N, K) whether a claim won.
    """
    count = claims.prior.shape[1]
    prior, valid = claims.prior.flatten(1), claims.valid.flatten(1)  # (B, N * K)
    rank = claims.rank.flatten(1).masked_fill(~valid, -torch.inf)
    highest = rank.new_full((len(rank), priors), -torch.inf)
    highest.scatter_reduce_(1, prior, rank, "amax")
    number = torch.arange(count, device=rank.device)[:, None].expand(claims.prior.shape[1:])
    number = number.flatten()  # (N * K,)
    first = torch.where(valid & (rank == highest.gather(1, prior)), number, count)
    owner = first.new_full((len(rank), priors), count).scatter_reduce_(1, prior, first, "amin")
    won = valid & (owner.gather(1, prior) == number)
    return owner.masked_fill(owner == count, BACKGROUND), won.view_as(claims.valid)


def scores_of_labels(scores: Tensor, labels: Tensor) -> Tensor:
    """(B, N, P) the values of scores (B, P, C) for the class of each object (B, N)."""
    index = labels[:, :, None].expand(-1, -1, scores.shape[1])
    return scores.mT.gather(1, index)
