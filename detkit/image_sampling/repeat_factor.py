"""Repeat images that show a rare class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detkit.image_sampling.image_classes import image_classes
from detkit.registry import Fraction, register
from detkit.structures import DatasetIndex


@register("sampling", "repeat_factor")
class RepeatFactor:
    """Repeats images that show a rare class; every image appears at least once.

    A class that appears in a fraction f of the images has the factor max(1, sqrt(threshold / f)).
    An image appears as often as the largest factor of its classes, an image without objects once.
    Epochs get longer accordingly.

    Paper: LVIS: A Dataset for Large Vocabulary Instance Segmentation (Gupta et al., 2019),
        https://arxiv.org/abs/1908.03195

    Args:
        threshold: Fraction of images below which a class is rare. LVIS uses 0.001; data sets with
            few classes need more.
    """

    def __init__(self, *, threshold: Fraction = 0.001) -> None:
        self.threshold = threshold

    def __call__(self, index: DatasetIndex) -> NDArray[np.float64]:
        """(N,) average number of appearances of each image in an epoch."""
        images, labels, counts = image_classes(index)
        frequencies = np.maximum(counts, 1) / max(len(index), 1)
        factors = np.maximum(1.0, np.sqrt(self.threshold / frequencies))
        shares = np.ones(len(index))
        np.maximum.at(shares, images, factors[labels])
        return shares
