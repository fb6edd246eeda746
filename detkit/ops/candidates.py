"""Select the (prior, class) pairs worth decoding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor

from detkit.ops.selection import is_eager_cpu

# Above this share of scores, the best are found faster without dropping the others first.
_SHARE_TO_FILTER = 0.5


class Candidates(NamedTuple):
    """K pairs of a prior and a class in each image, level by level.

    Attributes:
        prior: (B, K) index of the prior.
        label: (B, K) index of the class.
        score: (B, K); 0 where there is no candidate.
    """

    prior: Tensor
    label: Tensor
    score: Tensor


def select_candidates(
    scores: Tensor, level_sizes: Sequence[int], threshold: float, limit: int
) -> Candidates:
    """Select the best pairs of each level before decoding any box.

    A CPU first drops the scores that are not above the threshold, usually nearly all of them; that
    makes it up to ten times faster than to rank them. Elsewhere K does not depend on the scores.

    Args:
        scores: (B, P, C).
        level_sizes: Number of priors of each level; empty for a single level.
        threshold: Scores must be above it.
        limit: Maximum number of pairs per level.
    """
    sizes = level_sizes or [scores.shape[1]]
    levels = _above_threshold if is_eager_cpu(scores) else _all_pairs
    values, pairs = zip(*levels(scores, sizes, threshold, limit), strict=True)
    score, pair = torch.cat(values, dim=1), torch.cat(pairs, dim=1)
    score = torch.where(score > threshold, score, 0)
    classes = scores.shape[2]
    return Candidates(torch.div(pair, classes, rounding_mode="floor"), pair % classes, score)


def _all_pairs(
    scores: Tensor, sizes: Sequence[int], _threshold: float, limit: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """The `limit` best pairs of each level, whatever their scores.

    Yields:
        Their scores (B, k), and their indices (B, k) in the flat scores of their image.
    """
    classes = scores.shape[2]
    start = 0
    for size in sizes:
        level = scores[:, start : start + size].flatten(1)
        values, index = level.topk(torch.sym_min(limit, size * classes), dim=1)
        yield values, index + start * classes
        start += size


def _above_threshold(
    scores: Tensor, sizes: Sequence[int], threshold: float, limit: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """The same pairs, padded to the most in one image; level by level only if one has too many."""
    images, priors, classes = scores.shape
    flat = scores.flatten()
    above = (flat > threshold).nonzero().squeeze(1)  # (M,)
    first = torch.arange(images)[:, None] * (priors * classes)  # (B, 1)
    if len(above) == 0:
        yield scores.new_zeros(images, 1), torch.zeros_like(first)
        return
    ends = torch.tensor([0, *accumulate(size * classes for size in sizes)])
    starts = torch.searchsorted(above, first + ends)  # (B, L + 1)
    counts = starts.diff(dim=1)  # (B, L)
    level_counts = list(zip(*counts.tolist(), strict=True))
    if len(above) > _SHARE_TO_FILTER * len(flat) and max(map(max, level_counts)) > limit:
        yield from _all_pairs(scores, sizes, threshold, limit)
        return
    if max(map(max, level_counts)) <= limit:
        counts = counts.sum(dim=1, keepdim=True)
        level_counts = [tuple(map(sum, zip(*level_counts, strict=True)))]
        limit = max(level_counts[0])
    for level, image_counts in enumerate(level_counts):
        column = torch.arange(max(image_counts))
        exists = column < counts[:, level, None]  # (B, k)
        index = above[(starts[:, level, None] + column).clamp(max=len(above) - 1)]
        values, pair = torch.where(exists, flat[index], 0), torch.where(exists, index - first, 0)
        if len(column) > limit:
            values, order = values.topk(limit, dim=1)
            pair = pair.gather(1, order)
        yield values, pair
