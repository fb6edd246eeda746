"""Which of many detectors are worse than the best one by more than chance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detkit.evaluation.bootstrap import LEVEL

Values = NDArray[np.float64]


class WorseThanBest(NamedTuple):
    """The outcome for J detectors.

    Attributes:
        best: The position of the detector with the highest number.
        is_worse: (J,) whether the difference to the best one exceeds chance.
    """

    best: int
    is_worse: NDArray[np.bool_]


def worse_than_best(estimates: Values, samples: Values) -> WorseThanBest:
    """Compare all detectors with the best one, which the same images have selected.

    The best of many equal detectors is better than the others by luck. So a difference must exceed
    the largest difference that any two of them show by chance: the 95 % quantile, over the samples,
    of the largest standardised deviation of a difference from its mean (as in Tukey's test).

    Args:
        estimates: (J,) a number of each detector.
        samples: (J, B) the same on samples of the images, the same ones for all detectors.
    """
    best = int(np.nanargmax(estimates))
    valid = samples[:, ~np.isnan(samples).any(axis=0)]
    if valid.shape[1] == 0:
        return WorseThanBest(best, np.zeros(len(estimates), bool))
    centred = valid - valid.mean(axis=1, keepdims=True)
    largest = np.zeros(valid.shape[1])
    for position, row in enumerate(centred):
        differences = np.abs(centred[position + 1 :] - row)
        errors = np.sqrt((differences**2).mean(axis=1, keepdims=True))
        ratios = np.divide(differences, errors, out=np.zeros_like(differences), where=errors > 0)
        largest = np.maximum(largest, ratios.max(axis=0, initial=0))
    limit = np.quantile(largest, LEVEL)
    errors = (centred - centred[best]).std(axis=1)
    is_worse = estimates[best] - estimates > limit * errors
    return WorseThanBest(best, np.where(errors > 0, is_worse, estimates < estimates[best]))
