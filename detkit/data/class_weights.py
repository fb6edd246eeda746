"""Class weights that make up for rare classes in a loss."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def class_weights(counts: NDArray[np.int64], power: float) -> NDArray[np.float64]:
    """(C,) weights proportional to 1 / objects^power whose mean over objects is 1.

    So a loss keeps its size. A class without objects gets 1.
    """
    present = counts > 0
    weights = np.where(present, np.maximum(counts, 1) ** -power, 0.0)
    total = (weights * counts).sum()
    scaled: NDArray[np.float64] = weights * (counts.sum() / total if total else 1.0)
    return np.where(present, scaled, 1.0)
