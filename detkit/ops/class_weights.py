"""Class weights that make up for rare classes in a loss."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def class_weights(counts: NDArray[np.int64], power: float) -> NDArray[np.float64]:
    """(C,) weights proportional to 1 / objects^power whose mean over objects is 1.

    So a loss keeps its size. A class without objects gets 1.
    """
    return _scaled(counts, np.maximum(counts, 1) ** -power)


def effective_number_weights(counts: NDArray[np.int64], beta: float) -> NDArray[np.float64]:
    """(C,) weights proportional to 1 / E(objects) whose mean over objects is 1.

    E(n) = (1 - beta^n) / (1 - beta) is the effective number of n overlapping samples: 1 for beta 0,
    n for beta towards 1. The paper scales the weights to a sum of C instead; this keeps the size of
    a loss, as `class_weights` does. A class without objects gets 1.

    Paper: Class-Balanced Loss Based on Effective Number of Samples (Cui et al., 2019), equation 2,
        https://arxiv.org/abs/1901.05555
    """
    effective = (1 - beta ** np.maximum(counts, 1).astype(np.float64)) / (1 - beta)
    return _scaled(counts, 1 / effective)


def _scaled(counts: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights whose mean over objects is 1; 1 for classes without objects."""
    present = counts > 0
    weights = np.where(present, weights, 0.0)
    total = (weights * counts).sum()
    scaled: NDArray[np.float64] = weights * (counts.sum() / total if total else 1.0)
    return np.where(present, scaled, 1.0)
