"""The base of metrics: collects images over batches and ranks, so that a metric only computes."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from detkit.evaluation.class_matches import ClassMatches, match_classes
from detkit.evaluation.image_results import CollectedImages, Counts
from detkit.structures import Detections, Target


class MetricBase(ABC):
    """Base of a metric that is computed from the detections and objects of all images.

    A subclass defines `compute`. The base keeps each image once, also where batches or ranks
    overlap, and passes images between ranks.

    Attributes:
        images: The images so far; `images.by_id()` returns their arrays.
        meanings: For tables, what the numbers over all classes mean, in a few words.
    """

    def __init__(
        self, class_names: Sequence[str], meanings: Mapping[str, str], *, masks: bool = False
    ) -> None:
        """Start without images.

        Args:
            class_names: The classes in label order.
            meanings: What each number over all classes means, such as {"AP": "IoU 0.50"}.
            masks: Whether to collect masks too, where detections and objects have them.
        """
        self.images = CollectedImages(class_names, masks=masks)
        self.meanings = meanings

    @abstractmethod
    def compute(self) -> dict[str, float]:
        """The numbers, each 0..1, or NaN if there is nothing to measure.

        `AP` is required: it selects the best checkpoint. `AP50` is used by the checks of the first
        validation if there is one. Numbers of a class are called `<name>/<class>`.
        """

    def update(
        self, image_ids: list[int], detections: list[Detections], targets: list[Target]
    ) -> None:
        """Add the detections and objects of images, in original coordinates.

        Raises:
            DataError: A label is none of the classes, or an object's box is not finite.
        """
        self.images.update(image_ids, detections, targets)

    def state(self) -> dict[str, Any]:
        """The images of this rank, for `merge` on another rank."""
        return self.images.state()

    def merge(self, states: list[dict[str, Any]]) -> None:
        """Add the images of other ranks."""
        self.images.merge(states)

    def reset(self) -> None:
        """Remove all images."""
        self.images.reset()

    def counts(self) -> Counts:
        """Count the images, objects and detections behind the metrics."""
        return self.images.counts()

    def match(self, iou_threshold: float) -> list[ClassMatches]:
        """The matches between detections and objects of each class, in label order."""
        images = self.images.by_id().values()
        return match_classes(images, self.counts().objects, iou_threshold)

    def per_class(self, name: str, values: Iterable[float]) -> dict[str, float]:
        """One number for each class, in label order, under the name `<name>/<class>`."""
        pairs = zip(self.images.class_names, values, strict=True)
        return {f"{name}/{class_name}": value for class_name, value in pairs}


def mean_over_classes(values: Iterable[float]) -> float:
    """The mean over the classes that have a value; NaN if none has."""
    valid = [value for value in values if not math.isnan(value)]
    return sum(valid) / len(valid) if valid else math.nan
