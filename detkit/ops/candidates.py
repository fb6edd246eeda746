"""Select the (prior, class) pairs worth decoding."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Candidates(NamedTuple):
    """Pairs of a prior and a class, level by level, best first within a level.

    Attributes:
        prior: (M,) index of the prior.
        label: (M,) index of the class.
        score: (M,).
    """

    prior: Tensor
    label: Tensor
    score: Tensor


def select_candidates(scores: Tensor, level: Tensor, threshold: float, limit: int) -> Candidates:
    """Select the best pairs of each level before decoding any box.

    Args:
        scores: (P, C) of one image.
        level: (P,) level of each prior, ascending.
        threshold: Scores must be above it.
        limit: Maximum number of pairs per level.
    """
    classes = scores.shape[1]
    priors, labels, values_by_level = [], [], []
    for start, stop in _level_ranges(level):
        flat = scores[start:stop].flatten()
        above = (flat > threshold).nonzero().squeeze(1)
        values, order = flat[above].topk(min(limit, len(above)))
        index = above[order]
        priors.append(start + torch.div(index, classes, rounding_mode="floor"))
        labels.append(index % classes)
        values_by_level.append(values)
    return Candidates(torch.cat(priors), torch.cat(labels), torch.cat(values_by_level))


def _level_ranges(level: Tensor) -> list[tuple[int, int]]:
    """The (start, stop) positions of each level among the priors."""
    stops = level.bincount().cumsum(0).tolist()
    return list(zip([0, *stops[:-1]], stops, strict=True))
