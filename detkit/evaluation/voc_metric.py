"""Average precision as Pascal VOC's development kit defines it."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from detkit.evaluation.class_frequencies import LVIS_LIMITS, ClassFrequencies, Limits
from detkit.evaluation.metric_base import MetricBase, mean_over_classes
from detkit.registry import Fraction, Wired, register
from detkit.structures import ClassCounts

_COMMON_THRESHOLD = 0.5  # that of AP50, which the checks of the first validation use
_POINTS = 10  # steps between the 11 recalls of VOC 2007


@register("metric", "voc")
class VocMetric(MetricBase):
    """Measure AP of each class and their mean as Pascal VOC defines it.

    A detection belongs to the object of its class that it overlaps most. It is correct if the IoU
    reaches the threshold and no detection with a higher score takes that object. If the object is
    difficult (or a crowd), the detection does not count. The AP of a class without objects is NaN
    and does not count in the mean.

    Departure: the development kit uses whole pixels that start at 1 and include both ends, so it
    adds 1 to every width; detkit's boxes are continuous. Both give the same IoU for converted boxes
    (1 added to left and top), and the VOC reader converts annotations.

    With `11_points` the recalls are exact tenths: 3 of 10 objects reach recall 0.3. Python ports of
    the development kit use `np.arange(0, 1.1, 0.1)`, in which 0.3, 0.6 and 0.7 are slightly too
    large. If a recall is exactly one of these, they use the precision at the next higher recall,
    and their AP can be lower.

    Paper: The Pascal Visual Object Classes (VOC) Challenge (Everingham et al., 2010),
        https://doi.org/10.1007/s11263-009-0275-4

    Args:
        iou_threshold: The smallest IoU that finds an object.
        average: `area` under the monotone precision curve (VOC 2010 and later), or `11_points`, the
            mean of the best precision at recalls 0, 0.1 ... 1 (VOC 2007).
        frequency_limits: The most training images of a rare class and of a common one, for AP_rare,
            AP_common and AP_frequent; null measures none of these.
    """

    def __init__(
        self,
        *,
        class_names: Wired[list[str]],
        iou_threshold: Fraction = 0.5,
        average: Literal["area", "11_points"] = "area",
        frequency_limits: Limits | None = LVIS_LIMITS,
        class_counts: Wired[ClassCounts | None] = None,
    ) -> None:
        meaning = f"Pascal VOC, IoU {iou_threshold:.2f}, {average.replace('_', ' ')}"
        meanings = {"AP": meaning, "AP50": f"at IoU {_COMMON_THRESHOLD:.2f}"}
        self.frequencies = ClassFrequencies(class_counts, frequency_limits)
        super().__init__(class_names, meanings | self.frequencies.meanings())
        self.iou_threshold = iou_threshold
        self.average = average

    def compute(self) -> dict[str, float]:
        """`AP`, the mean over classes; `AP50`, at IoU 0.5; AP by class frequency; `AP/<class>`.

        Each is 0..1 or NaN.
        """
        precisions = self._average_precisions(self.iou_threshold)
        common = precisions
        if self.iou_threshold != _COMMON_THRESHOLD:
            common = self._average_precisions(_COMMON_THRESHOLD)
        means = {"AP": mean_over_classes(precisions), "AP50": mean_over_classes(common)}
        means |= self.frequencies.means(precisions)
        return means | self.per_class("AP", precisions)

    def _average_precisions(self, iou_threshold: float) -> list[float]:
        """AP of each class, in label order."""
        return [
            average_precision(matches.correct, matches.objects, self.average)
            for matches in self.match(iou_threshold)
        ]


def average_precision(correct: NDArray[np.bool_], objects: int, average: str) -> float:
    """AP of one class.

    Args:
        correct: Whether each detection that counts finds an object, highest score first.
        objects: How many objects the class has.
        average: `area` or `11_points`.
    """
    if objects == 0:
        return math.nan
    hits = correct.cumsum()
    recall = hits / objects
    precision = hits / np.arange(1, len(correct) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]  # at this recall or a higher one
    if average == "area":
        return float((np.diff(recall, prepend=0) * best).sum())
    # k / 10 rounds as found / objects does; sums of 0.1 would miss recalls such as 3 of 10.
    first = np.searchsorted(recall, np.arange(_POINTS + 1) / _POINTS)
    return float(np.append(best, 0)[first].sum() / (_POINTS + 1))
