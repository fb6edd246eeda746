"""Draw images so that all classes appear equally often."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detkit.image_sampling.image_classes import image_classes
from detkit.registry import PositiveFloat, register
from detkit.structures import DatasetIndex


@register("sampling", "class_balanced")
class ClassBalanced:
    """Draws images so that all classes appear equally often; epochs keep their length.

    Equivalent to drawing a class, then one of the images that show it. Images without objects
    appear once. Images that show only common classes appear less than once per epoch, so seeing
    all of them takes several epochs.

    Paper: Relay Backpropagation for Effective Learning of Deep Convolutional Neural Networks (Shen
        et al., 2016), https://arxiv.org/abs/1512.05830

    Args:
        largest: Upper limit of an image's average number of appearances per epoch; prevents
            overfitting to a few images, and shortens epochs if it takes effect.
    """

    def __init__(self, *, largest: PositiveFloat = 10.0) -> None:
        self.largest = largest

    def __call__(self, index: DatasetIndex) -> NDArray[np.float64]:
        """(N,) average number of appearances of each image in an epoch."""
        images, labels, counts = image_classes(index)
        occurring = max(int((counts > 0).sum()), 1)
        shares = np.zeros(len(index))
        np.add.at(shares, images, 1 / (occurring * counts[labels]))
        empty = shares == 0
        shares *= len(index) - int(empty.sum())
        return np.where(empty, 1.0, np.minimum(shares, self.largest))
