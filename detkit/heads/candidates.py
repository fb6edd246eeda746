"""Select the candidates of an image to decode."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from detkit.interfaces import Postprocess
from detkit.ops import select_candidates
from detkit.structures import Priors


class Candidates(NamedTuple):
    """The best (prior, class) pairs of one image: M of them, best first on each level."""

    priors: Priors  # of M
    codes: Tensor  # (M, D)
    scores: Tensor  # (M,)
    labels: Tensor  # (M,)


def best_candidates(
    scores: Tensor, codes: Tensor, priors: Priors, postprocess: Postprocess
) -> Candidates:
    """The pairs to post-process, from scores (P, C) and box codes (P, D)."""
    best = select_candidates(
        scores, priors.level, postprocess.score_threshold, postprocess.max_candidates
    )
    selected = priors.at(best.prior)
    return Candidates(selected, codes[best.prior], best.score, best.label)
