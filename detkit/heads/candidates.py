"""Select the candidates of a batch to decode."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from detkit.interfaces import Postprocess
from detkit.ops import select_candidates
from detkit.ops.rows import take_rows
from detkit.structures import Priors


class Candidates(NamedTuple):
    """The best (prior, class) pairs: K of each image."""

    priors: Priors  # (B, K) of the pairs
    codes: Tensor  # (B, K, D)
    scores: Tensor  # (B, K), 0 where there is no candidate
    labels: Tensor  # (B, K)


def best_candidates(
    scores: Tensor, codes: Tensor, priors: Priors, postprocess: Postprocess
) -> Candidates:
    """The pairs to post-process, from scores (B, P, C) and box codes (B, P, D)."""
    best = select_candidates(
        scores, priors.level_sizes, postprocess.score_threshold, postprocess.max_candidates
    )
    if priors.boxes.dim() == 2:  # noqa: PLR2004  # (P, 4)
        selected = priors.at(best.prior)
    else:
        boxes, stride, level = (take_rows(field, best.prior) for field in priors[:3])
        selected = Priors(boxes, stride, level)
    return Candidates(selected, take_rows(codes, best.prior), best.score, best.label)
