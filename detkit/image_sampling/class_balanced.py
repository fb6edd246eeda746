"""Draw images so that all classes appear equally often."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detkit.image_sampling.image_classes import image_classes
from detkit.registry import PositiveFloat, register
from detkit.structures import DatasetIndex


@register("sampling", "class_balanced")
class ClassBalanced:
    """Draws images so that each class is chosen equally often; epochs keep their length.

    As if a class were drawn, then one of the images that show it. Images without objects come once.
    Images of common classes alone come less than once in an epoch, so all are seen over several.

    Paper: Relay Backpropagation for Effective Learning of Deep Convolutional Neural Networks (Shen
        et al., 2016), https://arxiv.org/abs/1512.05830

    Args:
        largest: Most times that an image comes in the mean; protects from learning a few images by
            heart, and shortens epochs where it takes effect.
    """

    def __init__(self, *, largest: PositiveFloat = 10.0) -> None:
        self.largest = largest

    def __call__(self, index: DatasetIndex) -> NDArray[np.float64]:
        """(N,) how often each image comes."""
        images, labels, counts = image_classes(index)
        known = max(int((counts > 0).sum()), 1)
        shares = np.zeros(len(index))
        np.add.at(shares, images, 1 / (known * counts[labels]))
        empty = shares == 0
        shares *= len(index) - int(empty.sum())
        return np.where(empty, 1.0, np.minimum(shares, self.largest))
