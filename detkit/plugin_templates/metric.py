"""A metric: detections and objects to numbers."""

from __future__ import annotations

import math

import numpy as np

from detkit import Wired, register
from detkit.evaluation import ClassMatches, MetricBase, mean_over_classes
from detkit.registry import Fraction


@register("metric", "my_metric")
class MyMetric(MetricBase):
    """Average precision without interpolation: the mean of the precisions at each object found.

    Args:
        class_names: The classes in label order.
        iou_threshold: The smallest IoU that finds an object.
    """

    def __init__(self, *, class_names: Wired[list[str]], iou_threshold: Fraction = 0.75) -> None:
        strict = f"IoU {iou_threshold:.2f}, not interpolated"
        super().__init__(class_names, {"AP": strict, "AP50": "the same at IoU 0.50"})
        self.iou_threshold = iou_threshold

    def compute(self) -> dict[str, float]:
        """`AP` (selects the best checkpoint) and `AP50`, means over classes, and `AP/<class>`."""
        strict = [average_precision(matches) for matches in self.match(self.iou_threshold)]
        loose = [average_precision(matches) for matches in self.match(0.5)]
        means = {"AP": mean_over_classes(strict), "AP50": mean_over_classes(loose)}
        return means | self.per_class("AP", strict)


def average_precision(matches: ClassMatches) -> float:
    """AP of one class; NaN without objects."""
    ranks = np.arange(1, len(matches.correct) + 1)
    precisions = (matches.correct.cumsum() / ranks)[matches.correct]
    return float(precisions.sum() / matches.objects) if matches.objects else math.nan
