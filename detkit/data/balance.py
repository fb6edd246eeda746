"""How often images come in an epoch, so that rare classes are seen more often."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detkit.registry import Fraction, PositiveFloat, register
from detkit.structures import DatasetIndex

Shares = NDArray[np.float64]


def class_weights(counts: NDArray[np.int64], power: float) -> NDArray[np.float64]:
    """(C,) weights proportional to 1 / objects^power whose mean over objects is 1.

    So a loss keeps its size. A class without objects gets 1.
    """
    present = counts > 0
    weights = np.where(present, np.maximum(counts, 1) ** -power, 0.0)
    total = (weights * counts).sum()
    scaled: NDArray[np.float64] = weights * (counts.sum() / total if total else 1.0)
    return np.where(present, scaled, 1.0)


class ImageClasses(NamedTuple):
    """Which images show which classes; ignored objects do not count.

    Attributes:
        images: (K,) position of the image of each of K different pairs.
        labels: (K,) the class.
        counts: (C,) images that show each class.
    """

    images: NDArray[np.int64]
    labels: NDArray[np.int64]
    counts: NDArray[np.int64]


def image_classes(index: DatasetIndex) -> ImageClasses:
    """The different pairs of image and class of an index."""
    owners = np.repeat(np.arange(len(index)), np.diff(index.object_offsets))
    pairs = np.stack([owners, index.labels])[:, ~index.ignored]
    images, labels = np.unique(pairs, axis=1)
    return ImageClasses(images, labels, np.bincount(labels, minlength=len(index.class_names)))


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

    def __call__(self, index: DatasetIndex) -> Shares:
        """(N,) how often each image comes."""
        images, labels, counts = image_classes(index)
        shown = np.maximum(counts, 1) / max(len(index), 1)
        factors = np.maximum(1.0, np.sqrt(self.threshold / shown))
        shares = np.ones(len(index))
        np.maximum.at(shares, images, factors[labels])
        return shares


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

    def __call__(self, index: DatasetIndex) -> Shares:
        """(N,) how often each image comes."""
        images, labels, counts = image_classes(index)
        known = max(int((counts > 0).sum()), 1)
        shares = np.zeros(len(index))
        np.add.at(shares, images, 1 / (known * counts[labels]))
        empty = shares == 0
        shares *= len(index) - int(empty.sum())
        return np.where(empty, 1.0, np.minimum(shares, self.largest))
