"""How often the classes of a training set occur."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from detkit.structures.dataset import DatasetIndex


@dataclass(frozen=True)
class ClassCounts:
    """Images and objects of each class in a training set, in label order.

    Attributes:
        images: All images, including those without objects.
        images_with_class: The images that show each class; ignored objects do not count.
        objects: The objects of each class, without ignored ones.
    """

    images: int
    images_with_class: list[int]
    objects: list[int]

    @classmethod
    def of(cls, index: DatasetIndex) -> ClassCounts:
        """Count the images and objects of an index."""
        image_of_object = np.repeat(np.arange(len(index)), np.diff(index.object_offsets))
        pairs = np.stack([image_of_object, index.labels])[:, ~index.ignored]  # (2, M)
        classes = len(index.class_names)
        shown = np.unique(pairs, axis=1)[1]
        return cls(
            images=len(index),
            images_with_class=np.bincount(shown, minlength=classes).tolist(),
            objects=np.bincount(pairs[1], minlength=classes).tolist(),
        )

    def plain(self) -> dict[str, Any]:
        """The counts as plain values for a file."""
        return dict(vars(self))

    @classmethod
    def parse(cls, content: Mapping[str, Any], classes: int) -> ClassCounts:
        """The counts that `plain` wrote, for this number of classes.

        Raises:
            ValueError: The content is something else.
        """
        images, *lists = (content.get(field.name) for field in fields(cls))
        if type(images) is not int:
            raise ValueError(f"'images' is {images!r}, expected a whole number")
        return cls(images, *(_counts(values, classes) for values in lists))


def _counts(values: Any, classes: int) -> list[int]:
    is_list = isinstance(values, list) and all(type(value) is int for value in values)
    if not is_list or len(values) != classes:
        raise ValueError(f"it counts {values!r}, expected {classes} whole numbers")
    return list(values)
