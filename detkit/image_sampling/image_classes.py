"""Classes that each image shows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detkit.structures import DatasetIndex


class ImageClasses(NamedTuple):
    """Classes that each image shows; ignored objects do not count.

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
