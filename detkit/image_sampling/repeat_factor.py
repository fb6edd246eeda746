"""Repeat images that show a rare class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detkit.image_sampling.image_classes import image_classes
from detkit.registry import Fraction, register
from detkit.structures import DatasetIndex


@register("sampling", "repeat_factor")
class RepeatFactor:
    """Repeats images that show a rare class; no image comes less than once.

    A class that a share f of the images shows has the factor max(1, sqrt(threshold / f)); an image
    comes as often as the largest factor of its classes says, an image without objects once. Epochs
    get longer by as much.

    Paper: LVIS: A Dataset for Large Vocabulary Instance Segmentation (Gupta et al., 2019),
        https://arxiv.org/abs/1908.03195

    Args:
        threshold: Share of the images below which a class is rare. LVIS takes 0.001; data sets of a
            few classes need more.
    """

    def __init__(self, *, threshold: Fraction = 0.001) -> None:
        self.threshold = threshold

    def __call__(self, index: DatasetIndex) -> NDArray[np.float64]:
        """(N,) how often each image comes."""
        images, labels, counts = image_classes(index)
        shown = np.maximum(counts, 1) / max(len(index), 1)
        factors = np.maximum(1.0, np.sqrt(self.threshold / shown))
        shares = np.ones(len(index))
        np.maximum.at(shares, images, factors[labels])
        return shares
